//! Sends pods as kube-apiserver and kube-scheduler do.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use apportion_core::gpu::{Counts, PodDemand};
use apportion_core::inventory::{Inventory, SchedulingConstraints};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::pods::Pod;
use crate::server::Server;

/// Trusts the server's certificate authority.
pub(crate) struct Client {
    http: reqwest::Client,
    webhook: String,
    extender: String,
}

/// The server's responses for a pod.
pub(crate) struct PodResult {
    /// `namespace/name`.
    pub(crate) pod: String,
    pub(crate) requested: Counts,
    /// The request after the rewrite, or why the pod was denied.
    pub(crate) rewritten: Result<Counts, String>,
    pub(crate) changed: bool,
    /// Empty if no policy governs the pod.
    pub(crate) strategy: String,
    pub(crate) reason: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) fitting_nodes: Vec<String>,
    /// The number of other nodes by reason.
    pub(crate) unfit_nodes: BTreeMap<String, usize>,
    /// The body sent to `/mutate`.
    pub(crate) review: String,
    /// The body sent to `/filter`.
    pub(crate) filter_request: String,
}

impl Client {
    pub(crate) fn new(server: &Server) -> anyhow::Result<Self> {
        let authority = reqwest::Certificate::from_pem(&std::fs::read(&server.authority)?)?;
        let http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .no_proxy()
            .build()?;
        let url = |address: std::net::SocketAddr| format!("https://{address}");
        Ok(Client {
            http,
            webhook: url(server.webhook),
            extender: url(server.extender),
        })
    }

    /// Sends a pod to the webhook and, if it is allowed, to the extender.
    pub(crate) async fn process(&self, pod: &Pod, cluster: &Inventory) -> anyhow::Result<PodResult> {
        let review = serde_json::to_string_pretty(&pod.review)?;
        let object = &pod.review["request"]["object"];
        let body: Value = self.post(&format!("{}/mutate", self.webhook), review.clone()).await?;
        let response = &body["response"];
        ensure!(
            response["uid"] == pod.review["request"]["uid"],
            "the response is for another request: {body}"
        );
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut result = PodResult {
            pod: format!("{}/{}", pod.namespace, display_name(object)),
            requested: demand(object)?,
            rewritten: Err(text(&response["status"]["message"])),
            changed: false,
            strategy: String::new(),
            reason: text(&response["auditAnnotations"]["because"]),
            warnings: response["warnings"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect(),
            fitting_nodes: Vec::new(),
            unfit_nodes: BTreeMap::new(),
            review,
            filter_request: String::new(),
        };
        if response["allowed"] != true {
            return Ok(result);
        }
        let mut patched = object.clone();
        if let Some(patch) = response["patch"].as_str() {
            let patch = base64::engine::general_purpose::STANDARD.decode(patch)?;
            let patch: json_patch::Patch = serde_json::from_slice(&patch)?;
            json_patch::patch(&mut patched, &patch).context("the patch does not apply")?;
            result.changed = true;
        }
        let decision = &patched["metadata"]["annotations"]["apportion.dev/decision"];
        if let Some(decision) = decision.as_str() {
            result.strategy = text(&serde_json::from_str::<Value>(decision)?["strategy"]);
        }
        result.rewritten = Ok(demand(&patched)?);
        self.schedule(&mut result, object, &patched, cluster).await?;
        Ok(result)
    }

    /// Sends every node that the original pod can run on to the extender, so that it gives a reason
    /// for each that does not fit. A node fits if the in-tree filters also accept the rewritten pod.
    async fn schedule(
        &self,
        result: &mut PodResult,
        before: &Value,
        after: &Value,
        cluster: &Inventory,
    ) -> anyhow::Result<()> {
        let (before_json, after_json) = (before.to_string(), after.to_string());
        let (before, after) = (serde_json::from_str(&before_json)?, serde_json::from_str(&after_json)?);
        let (before, after) = (
            SchedulingConstraints::from_pod(&before),
            SchedulingConstraints::from_pod(&after),
        );
        let mut names = Vec::new();
        for node in cluster.nodes() {
            let reason = if !node.schedulable {
                "not ready, or cordoned"
            } else if !before.tolerate(&node.taints) {
                "a taint that the pod does not tolerate"
            } else if !before.constraints.matches_node(&node.name, &node.labels) {
                "the pod's own node selection excludes it"
            } else {
                names.push(&*node.name);
                continue;
            };
            *result.unfit_nodes.entry(reason.to_owned()).or_default() += 1;
        }
        let pod: Value = serde_json::from_str(&after_json)?;
        let request = json!({ "Pod": pod, "Nodes": null, "NodeNames": names });
        result.filter_request = serde_json::to_string_pretty(&request)?;
        let response: Value = self
            .post(&format!("{}/filter", self.extender), result.filter_request.clone())
            .await?;
        ensure!(response["Error"] == "", "{}", response["Error"]);
        result.fitting_nodes = serde_json::from_value(response["NodeNames"].clone())?;
        result.fitting_nodes.retain(|name| {
            let admits = cluster
                .node(name)
                .is_some_and(|node| after.constraints.matches_node(name, &node.labels));
            if !admits {
                *result
                    .unfit_nodes
                    .entry("the rewritten pod's node selection excludes it".to_owned())
                    .or_default() += 1;
            }
            admits
        });
        let failed: BTreeMap<String, String> = serde_json::from_value(response["FailedAndUnresolvableNodes"].clone())?;
        for reason in failed.into_values() {
            *result.unfit_nodes.entry(reason).or_default() += 1;
        }
        Ok(())
    }

    async fn post(&self, url: &str, body: String) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await?;
        let status = response.status();
        let body = response.text().await?;
        ensure!(status.is_success(), "{url} answered {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }
}

fn demand(pod: &Value) -> anyhow::Result<Counts> {
    let json = pod.to_string();
    Ok(PodDemand::from_pod(&serde_json::from_str(&json)?)?.total())
}

fn display_name(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
        (Some(name), _) => name.to_owned(),
        (None, prefix) => format!("{}*", prefix.unwrap_or_default()),
    }
}
