//! A response before it is one: a status, what kind of text, and the text.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};

use super::body::BodyError;
use super::endpoints::Answer;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What a listener says.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: HeaderValue,
    body: Body,
    try_again: bool,
}

impl Reply {
    /// A sentence for a person.
    pub(super) fn text(status: StatusCode, sentence: impl Into<String>) -> Self {
        Reply {
            status,
            content_type: TEXT,
            body: sentence.into().into(),
            try_again: false,
        }
    }

    /// 200 with metrics.
    pub(super) fn metrics(text: String) -> Self {
        Reply {
            status: StatusCode::OK,
            content_type: OPEN_METRICS,
            body: text.into(),
            try_again: false,
        }
    }

    /// 503 for now. kube-apiserver tries again after the second named, within its timeout; without the header it would
    /// fail the pod.
    pub(super) fn overloaded(sentence: impl Into<String>) -> Self {
        Reply {
            try_again: true,
            ..Reply::text(StatusCode::SERVICE_UNAVAILABLE, sentence)
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The response, which asks the client to connect anew for its next request if `last`.
    pub(super) fn into_response(self, last: bool) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type);
        if self.try_again {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if last {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = if status == StatusCode::OK { JSON } else { TEXT };
        Reply {
            status,
            content_type,
            body: answer.body.into(),
            try_again: false,
        }
    }
}

impl From<BodyError> for Reply {
    fn from(error: BodyError) -> Self {
        let sentence = error.to_string();
        match error {
            BodyError::TooLarge(_) => Reply::text(StatusCode::PAYLOAD_TOO_LARGE, sentence),
            BodyError::TooSlow(_) => Reply::text(StatusCode::REQUEST_TIMEOUT, sentence),
            BodyError::TooMany => Reply::overloaded(sentence),
            BodyError::Broken => Reply::text(StatusCode::BAD_REQUEST, sentence),
        }
    }
}
