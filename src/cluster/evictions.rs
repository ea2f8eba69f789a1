//! Evictions: asking the API server for them, and telling of them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, Preconditions};
use kube::{Api, Client};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::notice::{Notice, publish};
use crate::service::App;
use crate::service::bind::BindLeadership;
use crate::service::evict::{Evictions, Evictor};
use apportion_core::extender::evict::PreemptionRequest;
use apportion_core::inventory::PodEntry;

/// The longest that one call may take: no longer than a seat that was ours at its begin.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the API server.
struct ApiServer {
    client: Client,
    /// What we call ourselves in Events.
    instance: String,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiServer")
    }
}

/// Lets `app` evict pods, as long as we hold the seat.
pub fn start(client: &Client, app: &Arc<App>, seat: BindLeadership, instance: String, tasks: &mut JoinSet<()>) {
    let (evictions, wished) = Evictions::new();
    app.evict_through(evictions.clone());
    let evictor = Arc::new(ApiServer {
        client: client.clone(),
        instance,
    });
    tasks.spawn(evictions.fulfil(Arc::clone(app), evictor, seat, wished));
}

impl Evictor for ApiServer {
    fn is_waiting<'e>(&'e self, summary: &'e PreemptionRequest) -> BoxFuture<'e, Result<bool, String>> {
        Box::pin(async move {
            let (namespace, name) = summary.pod.split_once('/').unwrap_or(("default", &summary.pod));
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            let found = asked(pods.get_opt(name)).await?;
            Ok(found.is_some_and(|pod| {
                let has = |text: Option<&String>| text.is_some_and(|text| !text.is_empty());
                let placed = has(pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()));
                let nominated = pod
                    .status
                    .as_ref()
                    .and_then(|status| status.nominated_node_name.as_ref());
                let metadata = &pod.metadata;
                metadata.uid.as_deref() == Some(&*summary.uid)
                    && metadata.deletion_timestamp.is_none()
                    && !placed
                    && !has(nominated)
            }))
        })
    }

    fn evict<'e>(&'e self, victim: &'e PodEntry, rehearsal: bool) -> BoxFuture<'e, Result<(), String>> {
        Box::pin(async move {
            let record = &victim.record;
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &record.namespace);
            let params = EvictParams {
                delete_options: Some(DeleteParams {
                    dry_run: rehearsal,
                    preconditions: Some(Preconditions {
                        uid: Some(record.summary.uid.to_string()),
                        resource_version: None,
                    }),
                    ..DeleteParams::default()
                }),
                ..EvictParams::default()
            };
            let evicted = async {
                match pods.evict(&record.name, &params).await {
                    // It has gone by itself, or by this very call: of a pod without a grace period the API server says so.
                    Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                    other => other.map(drop),
                }
            };
            asked(evicted).await
        })
    }

    fn tell<'e>(&'e self, summary: &'e PreemptionRequest, evicted: &'e [Arc<PodEntry>]) -> BoxFuture<'e, ()> {
        Box::pin(async move {
            let mut names = Vec::new();
            let mut notices = Vec::new();
            for victim in evicted {
                let key = victim.key();
                let note = format!(
                    "evicted from node {} for {}, which has a higher priority",
                    summary.node, summary.pod
                );
                notices.push(Notice::evicted((&key, &victim.record.summary.uid), "evicted", note));
                names.push(key);
            }
            if names.is_empty() {
                return;
            }
            let note = format!("evicted for it from node {}: {}", summary.node, names.join(", "));
            notices.push(Notice::evicted((&summary.pod, &summary.uid), "preempts", note));
            for notice in notices {
                if let Ok(Err(why)) = timeout(PATIENCE, publish(&self.client, &notice, &self.instance)).await {
                    tracing::warn!(%why, "the Event of an eviction can not be written");
                }
            }
        })
    }
}

async fn asked<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(status.message.clone()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the API server does not answer".to_owned()),
    }
}
