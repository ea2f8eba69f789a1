//! Reading a request's body, within limits.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;

use super::limits::{ByteCount, Limits};
use super::load::Share;

/// For how long the rest of a refused body is read and thrown away. A socket closed with unread data in it answers with
/// a reset, which can overtake the refusal: the client would then report a broken connection and not the reason.
const LINGER: Duration = Duration::from_secs(1);

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {0}, the most that is taken here")]
    TooLarge(ByteCount),
    #[error("the body did not arrive within {0:?}")]
    TooSlow(Duration),
    #[error("too many bodies at one time; try again")]
    TooMany,
    #[error("the body broke off")]
    Broken,
}

/// Reads `body` whole. One that says how large it is, too large, is refused before a byte of it is read. The bytes
/// count towards `share` until that goes.
pub(super) async fn read(body: &mut Body, limits: &Limits, share: &mut Share<'_>) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > limits.body.get() as u64 {
        return Err(BodyError::TooLarge(limits.body));
    }
    match tokio::time::timeout(limits.body_read, gather(body, limits.body, share)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(BodyError::TooSlow(limits.body_read)),
    }
}

/// A body in one piece, the usual case, is not copied.
async fn gather(body: &mut Body, most: ByteCount, share: &mut Share<'_>) -> Result<Bytes, BodyError> {
    let Some(first) = piece(body, share).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > most.get() {
        return Err(BodyError::TooLarge(most));
    }
    let Some(second) = piece(body, share).await? else {
        return Ok(first);
    };
    let mut whole = Vec::from(first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if whole.len() + piece.len() > most.get() {
            return Err(BodyError::TooLarge(most));
        }
        whole.extend_from_slice(&piece);
        next = self::piece(body, share).await?;
    }
    Ok(whole.into())
}

async fn piece(body: &mut Body, share: &mut Share<'_>) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        let taken = share.grow(ByteCount::bytes(data.len()));
        return if taken { Ok(Some(data)) } else { Err(BodyError::TooMany) };
    }
    Ok(None)
}

/// Throws away the rest of a refused body, for a while, beside the answer.
pub(super) fn drain_body(mut body: Body) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(tokio::time::timeout(LINGER, async move {
        while let Some(Ok(_)) = body.frame().await {}
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::load::Load;
    use crate::server::role::Role;

    async fn read_of(body: &'static str, most: usize, in_memory: usize) -> Result<Bytes, BodyError> {
        let mut limits = Limits::for_role(Role::Webhook).with_body(ByteCount::bytes(most));
        limits.in_memory = ByteCount::bytes(in_memory);
        let load = Load::new(&limits);
        let mut share = load.take().unwrap();
        read(&mut Body::from(body), &limits, &mut share).await
    }

    #[tokio::test]
    async fn the_limit_itself_is_allowed() {
        assert_eq!(read_of("", 4, 64).await.unwrap(), "");
        assert_eq!(read_of("1234", 4, 64).await.unwrap(), "1234");
        assert_eq!(
            read_of("12345", 4, 64).await.unwrap_err(),
            BodyError::TooLarge(ByteCount::bytes(4))
        );
        assert_eq!(read_of("1234", 4, 3).await.unwrap_err(), BodyError::TooMany);
    }
}
