//! Starts the server on an example cluster, sends pods to its HTTPS endpoints as kube-apiserver and
//! kube-scheduler would, prints the results, and keeps serving.
//!
//! Run it with `make run`, or with `cargo run --example demo -- --once` to stop after the table.

mod client;
mod pods;
mod server;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser as _;

#[derive(clap::Parser)]
struct Args {
    /// Stop after the table
    #[arg(long)]
    once: bool,
    /// Use any free ports
    #[arg(long)]
    any_port: bool,
}

/// Relative to the repository.
const CLUSTER: &str = "examples/cluster/cluster.json";
const POLICIES: &str = "policies";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // reqwest uses the provider of the process; the server configures its own.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::set_current_dir(root).context("cannot change to the repository")?;
    let work = PathBuf::from("target/demo");
    std::fs::create_dir_all(&work).context("cannot create target/demo")?;

    let mut server = server::Server::start(&work, CLUSTER, POLICIES, args.any_port).await?;
    let cluster = apportion::cli::input::cluster(
        Path::new(CLUSTER),
        &apportion::cli::input::policy_set(Path::new(POLICIES))?,
    )?;
    let client = client::Client::new(&server)?;
    table::header(&cluster);
    let mut first = None;
    for pod in pods::all()? {
        let result = client
            .process(&pod, &cluster)
            .await
            .with_context(|| pod.source.clone())?;
        table::row(&pod, &result);
        if result.changed && first.is_none() {
            first = Some((pod, result));
        }
    }
    table::legend();
    if args.once {
        return server.stop().await;
    }
    if let Some((pod, result)) = first {
        std::fs::write(work.join("review.json"), &result.review)?;
        std::fs::write(work.join("filter.json"), &result.filter_request)?;
        table::curl_lines(&server, &work, &pod);
    }
    server.wait().await
}
