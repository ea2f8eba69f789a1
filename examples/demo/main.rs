//! The main job on an example cluster: starts the server, sends pods through its own HTTPS endpoints as kube-apiserver and
//! kube-scheduler would, prints what became of them, and goes on serving.
//!
//! `make run`, or `cargo run --example demo -- --once` to stop after the table.

mod client;
mod pods;
mod server;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser as _;

/// Flags of the demo.
#[derive(clap::Parser)]
struct Args {
    /// Stop after the table
    #[arg(long)]
    once: bool,
    /// Choose free ports
    #[arg(long)]
    any_port: bool,
}

/// What the demo shows: files of this repository.
const CLUSTER: &str = "examples/cluster/cluster.json";
const POLICIES: &str = "policies";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // The client asks the process for one; the server names its own.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::set_current_dir(root).context("cannot go to the repository")?;
    let work = PathBuf::from("target/demo");
    std::fs::create_dir_all(&work).context("cannot make target/demo")?;

    let mut server = server::Server::start(&work, CLUSTER, POLICIES, args.any_port).await?;
    let cluster = apportion::cli::input::cluster(
        Path::new(CLUSTER),
        &apportion::cli::input::policy_set(Path::new(POLICIES))?,
    )?;
    let client = client::Client::new(&server)?;
    table::head(&cluster);
    let mut first = None;
    for pod in pods::all()? {
        let told = client.tell(&pod, &cluster).await.with_context(|| pod.source.clone())?;
        table::row(&pod, &told);
        if told.changed && first.is_none() {
            first = Some((pod, told));
        }
    }
    table::legend();
    if args.once {
        return server.stop().await;
    }
    if let Some((pod, told)) = first {
        std::fs::write(work.join("review.json"), &told.review)?;
        std::fs::write(work.join("filter.json"), &told.question)?;
        table::curl_lines(&server, &work, &pod);
    }
    server.wait().await
}
