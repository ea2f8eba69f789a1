//! A response before its headers are set: status, content type and body.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};

use super::body::BodyError;
use super::endpoints::Answer;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: HeaderValue,
    body: Body,
    retry: bool,
}

impl Reply {
    pub(super) fn text(status: StatusCode, sentence: impl Into<String>) -> Self {
        Reply {
            status,
            content_type: TEXT,
            body: sentence.into().into(),
            retry: false,
        }
    }

    /// 200 with metrics.
    pub(super) fn metrics(text: String) -> Self {
        Reply {
            status: StatusCode::OK,
            content_type: OPEN_METRICS,
            body: text.into(),
            retry: false,
        }
    }

    /// 503 with Retry-After: 1. kube-apiserver then retries after a second, within its timeout;
    /// without the header it would reject the pod.
    pub(super) fn overloaded(sentence: impl Into<String>) -> Self {
        Reply {
            retry: true,
            ..Reply::text(StatusCode::SERVICE_UNAVAILABLE, sentence)
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The response. With `last` it asks the client to close the connection.
    pub(super) fn into_response(self, last: bool) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type);
        if self.retry {
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
            retry: false,
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
