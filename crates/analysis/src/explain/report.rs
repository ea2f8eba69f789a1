//! What `explain` says of one pod: the structure that `--output json` prints, a list of them, and that the text is made from.
//!
//! A field that is absent here is `null` or an empty list there, never left out, so that a program can rely on all of them;
//! docs/output-json.md says so to users.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Serialize;
use serde_json::Value;

use super::nodes::Nodes;
use apportion_core::gpu::Counts;
use apportion_core::patch::Operation;
use apportion_core::policy::Guarantees;

/// Counts by the name of the resource.
pub type Resources = BTreeMap<String, u64>;

/// What is to be said of one pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The file that it was read from.
    pub source: String,
    /// What makes the pod.
    pub workload: Origin,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name, with `*` for what will be generated.
    pub pod: String,
    /// Who decides.
    pub governance: Governance,
    /// What it asks for.
    pub demand: NodeQuery,
    /// The ways to serve it that were considered, in order of preference.
    pub considered: Vec<Way>,
    /// What its policy makes of ways to GPUs that it was not given.
    pub isolation: Isolated,
    /// What becomes of it.
    pub outcome: Verdict,
    /// What an enforcing policy changes: RFC 6902, on the pod as the API server completes it.
    pub patch: Vec<Operation>,
    /// Where it fits once changed; `null` where no policy holds it to anything, and where it is denied.
    pub nodes: Option<Nodes>,
    /// The pod before and after the patch.
    #[serde(skip)]
    pub documents: Option<(Value, Value)>,
}

/// What makes a pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// `Pod`, `Deployment` and so on.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How many such pods run at a time, where the object says so.
    pub replicas: Option<u64>,
}

/// Who decides on a pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Governance {
    /// Which case it is.
    pub by: Governor,
    /// The policy; the one that was asked for where it does not exist.
    pub policy: Option<String>,
    /// The policy's mode: `Enforce`, `Warn` or `Audit`.
    pub mode: Option<&'static str>,
    /// Why.
    pub because: String,
    /// What the policy promises, or would; `null` where no policy governs.
    pub limits: Option<Promised>,
}

/// What a policy promises its pods of their neighbours, in the words of its `spec.limits`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Promised {
    /// At most so many shares of each GPU.
    #[serde(rename = "sharesPerGPU")]
    pub shares_per_gpu: Option<u32>,
    /// `Unchecked`, `Total` or `PerGPU`.
    pub memory: &'static str,
    /// What a share counts with whose pod declares no memory, in MiB.
    pub undeclared_memory_mebibytes: u64,
    /// `Together` or `Apart`.
    pub tenants: &'static str,
    /// Whose the pod is: `namespace NAME`, or `LABEL=VALUE`.
    pub tenant: String,
    /// The same in one sentence, without the tenant.
    #[serde(skip)]
    pub words: Option<String>,
}

impl Promised {
    /// What these terms promise.
    pub fn of(terms: &Guarantees) -> Self {
        let limits = &terms.limits;
        Promised {
            shares_per_gpu: limits.shares_per_gpu.map(NonZeroU32::get),
            memory: limits.memory.as_str(),
            undeclared_memory_mebibytes: limits.undeclared_memory.0,
            tenants: if limits.apart { "Apart" } else { "Together" },
            tenant: terms.tenant.to_string(),
            words: (!limits.is_empty()).then(|| limits.to_string()),
        }
    }
}

/// Which kind of governor a pod has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Governor {
    /// A policy.
    Policy,
    /// Nobody: no policy matches.
    Nobody,
    /// Nobody: the namespace, or the pod as a mirror pod, is exempt from all policies.
    Exempt,
    /// The namespace's label names a policy that does not exist.
    UnknownPolicy,
    /// The cluster has no such namespace.
    UnknownNamespace,
}

/// What a pod asks for.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeQuery {
    /// The containers that ask for GPUs.
    pub containers: Vec<ContainerAsked>,
    /// What a node must give at the pod's busiest moment.
    pub effective: Resources,
    /// GPU memory that it declares by annotation, in MiB.
    pub memory_mebibytes: Option<u64>,
    /// Why nothing of this is known: a count or an amount that can not be read.
    pub unreadable: Option<String>,
}

/// What one container asks for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerAsked {
    /// Its name.
    pub name: String,
    /// Its path: `spec.containers[0]`.
    pub field: String,
    /// What it asks for.
    pub before: Resources,
    /// What an enforcing policy makes of it; `null` where none does.
    pub after: Option<Resources>,
}

/// One way to serve a pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    /// The strategy.
    pub strategy: &'static str,
    /// How nodes name it; `null` where the strategy can not serve the pod at all.
    pub naming: Option<String>,
    /// What came of it.
    pub verdict: WayVerdict,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Whether it is the one that the pod gets.
    pub taken: bool,
}

/// What came of a way to serve a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WayVerdict {
    /// The pod is so already.
    Conforms,
    /// Some node that the pod may run on has it free.
    Free,
    /// Some node that the pod may run on has it, and all is held or awaited by others.
    Busy,
    /// No node that the pod may run on has it.
    Absent,
    /// No device plugin gives it now, and DRA may, which does not say here what is free.
    Delegated,
    /// It is on nodes alone that take no pods now: not ready, cordoned, tainted, or being reconfigured.
    Closed,
    /// The pod can not be served so.
    Refused,
}

/// What a policy makes of ways to GPUs that a pod was not given; empty where it asks for no isolation.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Isolated {
    /// The containers that are told to see no GPU.
    pub hidden: Vec<String>,
    /// What the pod is turned away for.
    pub shut: Vec<Shut>,
}

/// A way to GPUs that a policy shuts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shut {
    /// The field to blame.
    pub field: String,
    /// Why.
    pub reason: String,
    /// What to do instead.
    pub hint: String,
}

/// What becomes of a pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The webhook's own word for it, as its metrics have it: `rewritten`, `denied`, `would_deny` and so on.
    pub result: &'static str,
    /// Whether the pod is admitted.
    pub admitted: bool,
    /// The strategy that it gets, or under a policy that only watches, would get.
    pub strategy: Option<&'static str>,
    /// Why.
    pub because: String,
    /// What the client is told as warnings.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether somebody should look at it: the pod is denied, or no node could hold it even if nothing else ran.
    pub fn is_finding(&self) -> bool {
        let held = self.governance.mode == Some("Enforce");
        !self.outcome.admitted || held && self.nodes.as_ref().is_some_and(Nodes::is_hopeless)
    }
}

/// Counts by name.
pub fn resources(counts: &Counts) -> Resources {
    counts
        .iter()
        .map(|(resource, count)| (resource.to_string(), count))
        .collect()
}
