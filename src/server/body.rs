//! Reading a request's body, within limits.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;

use super::in_flight::Permit;
use super::limits::{ByteCount, Limits};

/// How long the rest of a refused body is read and discarded. Closing a socket that has unread data
/// sends a reset, which can overtake the refusal: the client would then report a broken connection
/// instead of the reason.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than the limit of {0}")]
    TooLarge(ByteCount),
    #[error("the body did not arrive within {0:?}")]
    TooSlow(Duration),
    #[error("too many request bodies at once; try again")]
    TooMany,
    #[error("the connection broke before the body was complete")]
    Broken,
}

/// Reads the whole body. A body whose declared size exceeds the limit is refused before any of it
/// is read. The bytes count towards `permit` until that is dropped.
pub(super) async fn read(body: &mut Body, limits: &Limits, permit: &mut Permit<'_>) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > limits.body.get() as u64 {
        return Err(BodyError::TooLarge(limits.body));
    }
    match tokio::time::timeout(limits.body_read, collect(body, limits.body, permit)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(BodyError::TooSlow(limits.body_read)),
    }
}

/// A body in one chunk, the usual case, is not copied.
async fn collect(body: &mut Body, max: ByteCount, permit: &mut Permit<'_>) -> Result<Bytes, BodyError> {
    let Some(first) = chunk(body, permit).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > max.get() {
        return Err(BodyError::TooLarge(max));
    }
    let Some(second) = chunk(body, permit).await? else {
        return Ok(first);
    };
    let mut bytes = Vec::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if bytes.len() + chunk.len() > max.get() {
            return Err(BodyError::TooLarge(max));
        }
        bytes.extend_from_slice(&chunk);
        next = self::chunk(body, permit).await?;
    }
    Ok(bytes.into())
}

async fn chunk(body: &mut Body, permit: &mut Permit<'_>) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        let fits = permit.grow(ByteCount::bytes(data.len()));
        return if fits { Ok(Some(data)) } else { Err(BodyError::TooMany) };
    }
    Ok(None)
}

/// Discards the rest of a refused body in the background, for at most [`DRAIN_TIMEOUT`].
pub(super) fn drain_body(mut body: Body) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(tokio::time::timeout(DRAIN_TIMEOUT, async move {
        while let Some(Ok(_)) = body.frame().await {}
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::in_flight::InFlight;
    use crate::server::route::Role;

    async fn read_of(body: &'static str, max: usize, in_memory: usize) -> Result<Bytes, BodyError> {
        let mut limits = Limits::for_role(Role::Webhook).with_body(ByteCount::bytes(max));
        limits.in_memory = ByteCount::bytes(in_memory);
        let in_flight = InFlight::new(&limits);
        let mut permit = in_flight.acquire().unwrap();
        read(&mut Body::from(body), &limits, &mut permit).await
    }

    #[tokio::test]
    async fn a_body_may_be_as_large_as_the_limit() {
        assert_eq!(read_of("", 4, 64).await.unwrap(), "");
        assert_eq!(read_of("1234", 4, 64).await.unwrap(), "1234");
        assert_eq!(
            read_of("12345", 4, 64).await.unwrap_err(),
            BodyError::TooLarge(ByteCount::bytes(4))
        );
        assert_eq!(read_of("1234", 4, 3).await.unwrap_err(), BodyError::TooMany);
    }
}
