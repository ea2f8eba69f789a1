//! Evictions: calling the API server for them, and reporting them as Events.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, Preconditions};
use kube::{Api, Client};
use tokio::time::timeout;

use super::api::within;
use super::events::{PodEvent, publish};
use super::lease::CALL_TIMEOUT;
use crate::service::bind::CallError;
use crate::service::evict::Evictor;
use apportion_core::extender::evict::PreemptionRequest;
use apportion_core::inventory::PodEntry;

/// Calls the API server for evictions.
pub struct ApiEvictor {
    client: Client,
    /// The reporting instance of Events.
    instance: String,
}

impl ApiEvictor {
    pub fn new(client: Client, instance: String) -> Self {
        ApiEvictor { client, instance }
    }
}

impl std::fmt::Debug for ApiEvictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiEvictor")
    }
}

impl Evictor for ApiEvictor {
    fn is_waiting<'e>(&'e self, request: &'e PreemptionRequest) -> BoxFuture<'e, Result<bool, CallError>> {
        Box::pin(async move {
            let (namespace, name) = request.pod.split_once('/').unwrap_or(("default", &request.pod));
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            let found = within(CALL_TIMEOUT, pods.get_opt(name)).await?;
            Ok(found.is_some_and(|pod| {
                let is_set = |text: Option<&String>| text.is_some_and(|text| !text.is_empty());
                let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
                let nominated = pod
                    .status
                    .as_ref()
                    .and_then(|status| status.nominated_node_name.as_ref());
                let metadata = &pod.metadata;
                metadata.uid.as_deref() == Some(&*request.uid)
                    && metadata.deletion_timestamp.is_none()
                    && !is_set(node)
                    && !is_set(nominated)
            }))
        })
    }

    fn evict<'e>(&'e self, victim: &'e PodEntry, dry_run: bool) -> BoxFuture<'e, Result<(), CallError>> {
        Box::pin(async move {
            let record = &victim.record;
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &record.namespace);
            let params = EvictParams {
                delete_options: Some(DeleteParams {
                    dry_run,
                    preconditions: Some(Preconditions {
                        uid: Some(record.summary.uid.to_string()),
                        resource_version: None,
                    }),
                    ..DeleteParams::default()
                }),
                ..EvictParams::default()
            };
            match within(CALL_TIMEOUT, pods.evict(&record.name, &params)).await {
                // It ended by itself, or by this call: for a pod without a grace period the API
                // server answers 404.
                Err(error) if error.is_not_found() => Ok(()),
                Err(error) => Err(error.into()),
                Ok(_) => Ok(()),
            }
        })
    }

    fn report<'e>(&'e self, request: &'e PreemptionRequest, evicted: &'e [Arc<PodEntry>]) -> BoxFuture<'e, ()> {
        Box::pin(async move {
            let mut names = Vec::new();
            let mut events = Vec::new();
            for victim in evicted {
                let key = victim.key();
                let note = format!(
                    "evicted from node {} for {}, which has a higher priority",
                    request.node, request.pod
                );
                events.push(PodEvent::preemption(
                    (&key, &victim.record.summary.uid),
                    "evicted",
                    note,
                ));
                names.push(key);
            }
            if names.is_empty() {
                return;
            }
            let note = format!(
                "evicted pods from node {} for this pod: {}",
                request.node,
                names.join(", ")
            );
            events.push(PodEvent::preemption((&request.pod, &request.uid), "preempts", note));
            for event in events {
                if let Ok(Err(error)) = timeout(CALL_TIMEOUT, publish(&self.client, &event, &self.instance)).await {
                    tracing::warn!(%error, "cannot write the Event of an eviction");
                }
            }
        })
    }
}
