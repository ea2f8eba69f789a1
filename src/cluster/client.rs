//! The connection to the API server.

use kube::{Client, Config};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a service account.
    #[error("no cluster: {0}; set KUBECONFIG, run inside a cluster, or give a dump with --cluster FILE")]
    Config(#[from] kube::config::InferConfigError),
    /// The configuration can not be used.
    #[error("the cluster's configuration can not be used: {0}")]
    Client(#[from] kube::Error),
}

/// Connects as the kubeconfig says (`KUBECONFIG`, `~/.kube/config`), else as the pod's service account.
pub async fn connect() -> Result<Client, ConnectError> {
    let config = Config::infer().await?;
    Ok(Client::try_from(config)?)
}
