//! A fake API server that serves paginated lists and watches of a synthetic cluster. It stores
//! nothing.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode, Uri};
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::synthetic::{Cluster, Stage};

/// Flags.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Nodes of the cluster
    #[arg(long)]
    nodes: u32,
    /// Pods on them
    #[arg(long)]
    pods: u32,
}

/// The resource version of all objects.
const VERSION: u64 = 1000;

/// The answer for an unknown path.
const UNKNOWN: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404,"message":"the server could not find the requested resource","reason":"NotFound"}"#;

struct Api {
    cluster: Cluster,
    /// Subscribers to pod events.
    watchers: Mutex<Vec<mpsc::Sender<Bytes>>>,
}

/// Prints its address and serves until it is killed.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let api = Arc::new(Api {
        cluster: Cluster::new(args.nodes, args.pods)?,
        watchers: Mutex::default(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let answering = axum_server::from_tcp(listener.into_std()?)?;
    answering
        .serve(Router::new().fallback(answer).with_state(api).into_make_service())
        .await?;
    Ok(())
}

async fn answer(State(api): State<Arc<Api>>, uri: Uri) -> Response<Body> {
    let query = |key: &str| {
        let pairs = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs.filter(|(k, _)| *k == key).map(|(_, value)| value).next_back()
    };
    let (_, plural) = uri.path().rsplit_once('/').unwrap_or_default();
    if plural == "bench-events" {
        let number = |key| query(key).and_then(|text| text.parse().ok()).unwrap_or(0);
        api.tell(number("from"), number("count")).await;
        return json("{}".to_owned());
    }
    if query("watch").is_some() {
        return api.watch(plural);
    }
    let from = query("continue").and_then(|text| text.parse().ok()).unwrap_or(0);
    let limit = query("limit").and_then(|text| text.parse().ok()).unwrap_or(u32::MAX);
    if let Some(text) = api.list(plural, from, limit) {
        return json(text);
    }
    let mut unknown = json(UNKNOWN.to_owned());
    *unknown.status_mut() = StatusCode::NOT_FOUND;
    unknown
}

fn json(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let content_type = axum::http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(axum::http::header::CONTENT_TYPE, content_type);
    response
}

impl Api {
    /// A page of a list.
    fn list(&self, plural: &str, from: u32, limit: u32) -> Option<String> {
        let (kind, count) = match plural {
            "nodes" => ("NodeList", self.cluster.nodes),
            "pods" => ("PodList", self.cluster.pods),
            "namespaces" => ("NamespaceList", u32::try_from(self.cluster.namespaces().len()).ok()?),
            "resourcequotas" => ("ResourceQuotaList", 0),
            "limitranges" => ("LimitRangeList", 0),
            "gpusharingpolicies" => ("GpuSharingPolicyList", 0),
            _ => return None,
        };
        let to = count.min(from.saturating_add(limit));
        let more = if to < count {
            format!(r#","continue":"{to}","remainingItemCount":{}"#, count - to)
        } else {
            String::new()
        };
        let mut text = format!(
            r#"{{"kind":"{kind}","apiVersion":"v1","metadata":{{"resourceVersion":"{VERSION}"{more}}},"items":["#
        );
        for at in from..to {
            if at > from {
                text.push(',');
            }
            match plural {
                "nodes" => self.cluster.node(at, &mut text),
                "pods" => self.cluster.pod(at, Stage::Bound, 1, &mut text),
                _ => text.push_str(&self.cluster.namespaces()[at as usize]),
            }
        }
        text.push_str("]}");
        Some(text)
    }

    /// A watch. Only pods have events, from [`Api::tell`].
    fn watch(&self, plural: &str) -> Response<Body> {
        if plural != "pods" {
            return Response::new(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
        }
        let (sender, receiver) = mpsc::channel(4);
        self.watchers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        let events = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        Response::new(Body::from_stream(events.map(Ok::<_, Infallible>)))
    }

    /// Sends `count` events: new pods with GPUs are created, bound and deleted.
    async fn tell(&self, from: u32, count: u32) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let first = self.cluster.gpu_pods();
        let mut text = String::new();
        for event in from..from + count {
            let (what, stage) = match event % 3 {
                0 => ("ADDED", Stage::Waiting),
                1 => ("MODIFIED", Stage::Bound),
                _ => ("DELETED", Stage::Bound),
            };
            let version = VERSION + 1 + u64::from(event);
            let pod = self.cluster.gpu_pod(first + event / 3, stage, version);
            let _ = writeln!(text, r#"{{"type":"{what}","object":{pod}}}"#);
            if text.len() > 64 * 1024 || event + 1 == from + count {
                let chunk = Bytes::from(std::mem::take(&mut text));
                for watcher in &watchers {
                    // The subscriber is gone.
                    let _ = watcher.send(chunk.clone()).await;
                }
            }
        }
    }
}
