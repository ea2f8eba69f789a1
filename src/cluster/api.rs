//! The connection to the API server, and the errors of its calls.

use std::error::Error;
use std::time::Duration;

use kube::{Client, Config};

use crate::service::bind::CallError;
use apportion_core::inventory::dump;

/// The longest that a call may take. Without a timeout a dead connection blocks for minutes.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Why there is no connection. The messages contain their causes, because kube's errors repeat
/// themselves when their sources are printed behind them.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a service account.
    #[error(
        "no cluster to connect to: set KUBECONFIG, run inside a cluster, or give a dump with --cluster FILE (create it with `{command}`); {0}",
        command = dump::COMMAND
    )]
    Config(String),
    #[error("the kubeconfig cannot be used: {0}")]
    Client(String),
}

/// Connects by the kubeconfig (`KUBECONFIG`, `~/.kube/config`), or as the pod's service account.
pub async fn connect() -> Result<Client, ConnectError> {
    Ok(connect_with_url().await?.0)
}

/// Connects, and returns the server's URL for messages.
pub async fn connect_with_url() -> Result<(Client, String), ConnectError> {
    let config = Config::infer()
        .await
        .map_err(|error| ConnectError::Config(error.to_string()))?;
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| ConnectError::Client(error.to_string()))?;
    Ok((client, url))
}

/// Why a call to the API server failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// It answered with an error.
    #[error("{}", .0.message)]
    Status(Box<kube::core::Status>),
    /// The call failed on the way, or its answer could not be read.
    #[error("the API server cannot be asked: {0}")]
    Failed(kube::Error),
    #[error("the API server did not answer within {0:?}")]
    Timeout(Duration),
}

impl ApiError {
    /// Whether another writer was first (409).
    pub fn is_conflict(&self) -> bool {
        matches!(self, ApiError::Status(status) if status.is_conflict())
    }

    /// Whether the object does not exist (404).
    pub fn is_not_found(&self) -> bool {
        matches!(self, ApiError::Status(status) if status.is_not_found())
    }

    /// Whether a retry would fail again.
    pub fn is_permanent(&self) -> bool {
        matches!(self, ApiError::Status(status) if (400..500).contains(&status.code) && status.code != 429)
    }

    /// Whether the request does not fit the object, such as a patch whose test fails (422).
    pub fn is_invalid(&self) -> bool {
        matches!(self, ApiError::Status(status) if status.is_invalid())
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => ApiError::Status(status),
            other => ApiError::Failed(other),
        }
    }
}

impl From<ApiError> for CallError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Status(status) => CallError::Refused(status.message.clone()),
            ApiError::Failed(error) => CallError::Failed(error.to_string()),
            ApiError::Timeout(_) => CallError::Timeout,
        }
    }
}

/// Waits for a call for at most [`REQUEST_TIMEOUT`].
pub async fn with_timeout<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    within(REQUEST_TIMEOUT, call).await
}

/// Waits for a call for at most `limit`.
pub async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ApiError::Timeout(limit)),
    }
}

/// The message of a kube error with its causes, without those that repeat an earlier message.
pub(super) fn describe(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let text = error.to_string();
    // kube's prefix for errors of its HTTP stack.
    let mut messages = vec![text.strip_prefix("ServiceError: ").unwrap_or(&text).to_owned()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if messages.iter().all(|message| !message.contains(&text)) {
            messages.push(text);
        }
        cause = error.source();
    }
    messages.join(": ")
}
