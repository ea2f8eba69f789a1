//! The baseline: a server on the same HTTP and TLS libraries that does the minimum for an answer.
//!
//! `/mutate` reads the body and answers with a constant patch. `/filter` parses the names, looks
//! each up in a constant set, and answers with the first twenty that it knows, or with all. It has
//! no policies, cluster, limits, metrics or log. The difference is the cost of what Apportion does.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::post;
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::synthetic::Cluster;

/// Flags.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Nodes that it knows
    #[arg(long)]
    nodes: u32,
    /// How many names it answers; all without it
    #[arg(long)]
    most: Option<usize>,
    /// Certificate (PEM)
    #[arg(long)]
    cert: PathBuf,
    /// Key (PEM)
    #[arg(long)]
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DecisionInput<'a> {
    #[serde(borrow)]
    node_names: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    node_names: Vec<&'a str>,
    failed_nodes: Nothing,
    error: &'static str,
}

#[derive(Serialize)]
struct Nothing {}

type Reply = (StatusCode, [(HeaderName, &'static str); 1], Vec<u8>);

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// Prints two addresses, one with TLS and one without, and serves until it is killed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    let chain = CertificateDer::pem_file_iter(&args.cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&args.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];

    let known: Arc<HashSet<String>> = Arc::new((0..args.nodes).map(Cluster::node_name).collect());
    let most = args.most.unwrap_or(usize::MAX);
    let review: Arc<[u8]> = review()?.into();
    let router = Router::new()
        .route("/mutate", post(async move |body: Bytes| mutate(&body, &review)))
        .route("/filter", post(async move |body: Bytes| filter(&body, &known, most)));
    let (secure, plain) = (bind()?, bind()?);
    println!("{} {}", secure.local_addr()?, plain.local_addr()?);
    let secure = axum_server::from_tcp_rustls(secure, RustlsConfig::from_config(Arc::new(tls)))?;
    let plain = axum_server::from_tcp(plain)?;
    let (secure, plain) = tokio::join!(
        secure.serve(router.clone().into_make_service()),
        plain.serve(router.into_make_service())
    );
    secure.and(plain).context("the floor server stopped")
}

fn bind() -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The answer to every review, of the usual size, with a constant UID.
fn review() -> anyhow::Result<Vec<u8>> {
    let patch = serde_json::json!([
        {"op": "test", "path": "/spec/containers/0/resources/limits/nvidia.com~1gpu", "value": "1"},
        {"op": "add", "path": "/spec/affinity", "value": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "nvidia.com/gpu.sharing-strategy", "operator": "In", "values": ["none"]},
                {"key": "nvidia.com/gpu.slices.gi", "operator": "DoesNotExist"}]}]}}}},
        {"op": "add", "path": "/metadata/annotations", "value": {"apportion.dev/decision": "{\"policy\":\"training\",\"strategy\":\"exclusive\"}"}},
    ]);
    let patch = base64::engine::general_purpose::STANDARD.encode(patch.to_string());
    let answer = serde_json::json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response":
        {"uid": "00000000-0000-0000-0000-000000000000", "allowed": true, "patchType": "JSONPatch", "patch": patch}});
    Ok(serde_json::to_vec(&answer)?)
}

fn mutate(body: &[u8], review: &[u8]) -> Reply {
    let status = if body.is_empty() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    (status, JSON, review.to_vec())
}

fn filter(body: &[u8], known: &HashSet<String>, most: usize) -> Reply {
    let Ok(question) = serde_json::from_slice::<DecisionInput<'_>>(body) else {
        return (StatusCode::BAD_REQUEST, JSON, Vec::new());
    };
    // Every name is looked up, because every node must be considered.
    let mut node_names = question.node_names;
    node_names.retain(|name| known.contains(*name));
    node_names.truncate(most);
    let answer = Answer {
        node_names,
        failed_nodes: Nothing {},
        error: "",
    };
    (StatusCode::OK, JSON, serde_json::to_vec(&answer).unwrap_or_default())
}
