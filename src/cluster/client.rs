//! The connection to the API server.

use kube::{Client, Config};

use apportion_core::inventory::dump;

/// Why there is no connection. Displayed whole: what kube says repeats itself when its causes are printed behind it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a service account.
    #[error(
        "no cluster to talk to: set KUBECONFIG, run inside a cluster, or give a dump with --cluster FILE (make it with `{command}`); {0}",
        command = dump::COMMAND
    )]
    Config(String),
    /// The configuration can not be used.
    #[error("the kubeconfig can not be used: {0}")]
    Client(String),
}

/// Connects as the kubeconfig says (`KUBECONFIG`, `~/.kube/config`), else as the pod's service account.
pub async fn connect() -> Result<Client, ConnectError> {
    Ok(connect_by_name().await?.0)
}

/// The same, and the address of the server, to tell people of.
pub async fn connect_by_name() -> Result<(Client, String), ConnectError> {
    let config = Config::infer()
        .await
        .map_err(|error| ConnectError::Config(error.to_string()))?;
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| ConnectError::Client(error.to_string()))?;
    Ok((client, server))
}
