//! What an API server says instead of doing what it was asked.

use std::time::Duration;

/// How long an answer may take. Without a limit of our own a connection that went dead keeps us waiting for minutes.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Why a request to the API server came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// It answered, and said no.
    #[error("{}", .0.message)]
    Said(Box<kube::core::Status>),
    /// It did not answer, or not so that it could be read.
    #[error("the API server cannot be asked: {0}")]
    Silent(kube::Error),
    /// It took too long.
    #[error("the API server did not answer within {PATIENCE:?}")]
    Late,
}

impl ApiError {
    /// Whether the request came too late: somebody else was quicker.
    pub fn is_conflict(&self) -> bool {
        matches!(self, ApiError::Said(status) if status.is_conflict())
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, ApiError::Said(status) if status.is_not_found())
    }

    /// Whether to ask again would be answered alike.
    pub fn is_final(&self) -> bool {
        matches!(self, ApiError::Said(status) if (400..500).contains(&status.code) && status.code != 429)
    }

    /// Whether the request does not fit what is there, such as a patch whose test fails.
    pub fn is_invalid(&self) -> bool {
        matches!(self, ApiError::Said(status) if status.is_invalid())
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => ApiError::Said(status),
            other => ApiError::Silent(other),
        }
    }
}

/// Waits for an answer, but not for ever.
pub async fn patiently<T>(asked: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ApiError::Late),
    }
}
