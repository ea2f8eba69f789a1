//! What kube-apiserver and kube-scheduler do with a pod.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use apportion_core::gpu::{Counts, PodDemand};
use apportion_core::inventory::{Inventory, SchedulingConstraints};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::pods::Pod;
use crate::server::Server;

/// A client that trusts the server's authority.
pub(crate) struct Client {
    http: reqwest::Client,
    webhook: String,
    extender: String,
}

/// What the server told.
pub(crate) struct Told {
    /// The namespace and name.
    pub(crate) pod: String,
    /// What it asked for.
    pub(crate) asked: Counts,
    /// What it asks for now, or why it was turned away.
    pub(crate) got: Result<Counts, String>,
    /// Whether it was rewritten.
    pub(crate) changed: bool,
    /// The strategy, where one was chosen.
    pub(crate) strategy: String,
    /// Why.
    pub(crate) why: String,
    /// Warnings to the client.
    pub(crate) warnings: Vec<String>,
    /// Nodes that fit.
    pub(crate) fits: Vec<String>,
    /// How many nodes do not, by reason.
    pub(crate) not: BTreeMap<String, usize>,
    /// The bodies that were sent.
    pub(crate) review: String,
    pub(crate) question: String,
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

    /// Sends a pod to the webhook, and then to the extender.
    pub(crate) async fn tell(&self, pod: &Pod, cluster: &Inventory) -> anyhow::Result<Told> {
        let review = serde_json::to_string_pretty(&pod.review)?;
        let object = &pod.review["request"]["object"];
        let answer: Value = self.post(&format!("{}/mutate", self.webhook), review.clone()).await?;
        let response = &answer["response"];
        ensure!(
            response["uid"] == pod.review["request"]["uid"],
            "the answer is to another request: {answer}"
        );
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut told = Told {
            pod: format!("{}/{}", pod.namespace, display_name(object)),
            asked: demand(object)?,
            got: Err(text(&response["status"]["message"])),
            changed: false,
            strategy: String::new(),
            why: text(&response["auditAnnotations"]["because"]),
            warnings: response["warnings"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect(),
            fits: Vec::new(),
            not: BTreeMap::new(),
            review,
            question: String::new(),
        };
        if response["allowed"] != true {
            return Ok(told);
        }
        let mut patched = object.clone();
        if let Some(patch) = response["patch"].as_str() {
            let patch = base64::engine::general_purpose::STANDARD.decode(patch)?;
            let patch: json_patch::Patch = serde_json::from_slice(&patch)?;
            json_patch::patch(&mut patched, &patch).context("the patch does not apply")?;
            told.changed = true;
        }
        let decision = &patched["metadata"]["annotations"]["apportion.dev/decision"];
        if let Some(decision) = decision.as_str() {
            told.strategy = text(&serde_json::from_str::<Value>(decision)?["strategy"]);
        }
        told.got = Ok(demand(&patched)?);
        self.schedule(&mut told, object, &patched, cluster).await?;
        Ok(told)
    }

    /// The extender is asked about every node that the pod was ready to run on before it was rewritten, so that it says what is wrong
    /// with each; a node fits when the in-tree filters take the rewritten pod there too.
    async fn schedule(
        &self,
        told: &mut Told,
        before: &Value,
        after: &Value,
        cluster: &Inventory,
    ) -> anyhow::Result<()> {
        let (before, pod) = (before.to_string(), after.to_string());
        let (before, after) = (serde_json::from_str(&before)?, serde_json::from_str(&pod)?);
        let (before, after) = (SchedulingConstraints::of(&before), SchedulingConstraints::of(&after));
        let mut names = Vec::new();
        for node in cluster.nodes() {
            let reason = if !node.open {
                "not ready, or cordoned"
            } else if !before.tolerate(&node.taints) {
                "a taint it does not tolerate"
            } else if !before.constraints.admit(&node.name, &node.labels) {
                "not what the pod's own node selection asks for"
            } else {
                names.push(&*node.name);
                continue;
            };
            *told.not.entry(reason.to_owned()).or_default() += 1;
        }
        let pod: Value = serde_json::from_str(&pod)?;
        let question = json!({ "Pod": pod, "Nodes": null, "NodeNames": names });
        told.question = serde_json::to_string_pretty(&question)?;
        let answer: Value = self
            .post(&format!("{}/filter", self.extender), told.question.clone())
            .await?;
        ensure!(answer["Error"] == "", "{}", answer["Error"]);
        told.fits = serde_json::from_value(answer["NodeNames"].clone())?;
        told.fits.retain(|name| {
            let admits = cluster
                .node(name)
                .is_some_and(|node| after.constraints.admit(name, &node.labels));
            if !admits {
                *told
                    .not
                    .entry("not what the rewritten pod asks for".to_owned())
                    .or_default() += 1;
            }
            admits
        });
        let failed: BTreeMap<String, String> = serde_json::from_value(answer["FailedAndUnresolvableNodes"].clone())?;
        for reason in failed.into_values() {
            *told.not.entry(reason).or_default() += 1;
        }
        Ok(())
    }

    async fn post(&self, url: &str, body: String) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        ensure!(status.is_success(), "{url} answered {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }
}

fn demand(pod: &Value) -> anyhow::Result<Counts> {
    let json = pod.to_string();
    Ok(PodDemand::of(&serde_json::from_str(&json)?)?.total())
}

fn display_name(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
        (Some(name), _) => name.to_owned(),
        (None, prefix) => format!("{}*", prefix.unwrap_or_default()),
    }
}
