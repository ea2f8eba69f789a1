//! What `explain` says about one pod: `--output json` prints a list of these, and the text shows
//! them.
//!
//! Missing values are `null` or an empty list, never left out, so that programs can rely on every
//! key; docs/output-json.md promises that.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Serialize;
use serde_json::Value;

use super::node_fit::NodeFit;
use apportion_core::gpu::Counts;
use apportion_core::patch::Patch;
use apportion_core::policy::Guarantees;

/// Counts by resource name.
pub type Resources = BTreeMap<String, u64>;

/// The explanation of one pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The file that holds the manifest.
    pub source: String,
    pub workload: Origin,
    pub namespace: String,
    /// The pod's name, with `*` in place of a generated part.
    pub pod: String,
    pub governance: Governance,
    pub demand: Demand,
    /// The candidates in order of preference.
    pub considered: Vec<Candidate>,
    pub isolation: Isolation,
    pub outcome: AdmissionResult,
    /// What an enforcing policy changes, as RFC 6902 on the pod with the API server's defaults.
    pub patch: Patch,
    /// Where the patched pod fits; `null` if no policy constrains it, and if it is denied.
    pub nodes: Option<NodeFit>,
    /// The pod before and after the patch, if they differ.
    #[serde(skip)]
    pub documents: Option<(Value, Value)>,
}

/// The object that creates the pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    pub kind: String,
    pub name: String,
    /// How many such pods run at a time, if the object says so.
    pub replicas: Option<u64>,
}

/// Which policy governs a pod, and why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Governance {
    pub by: GovernanceKind,
    /// The policy; for [`GovernanceKind::UnknownPolicy`] the name that does not exist.
    pub policy: Option<String>,
    /// `Enforce`, `Warn` or `Audit`.
    pub mode: Option<&'static str>,
    pub because: String,
    /// The limits that the policy guarantees, or would if it enforced; `null` without a policy.
    pub limits: Option<PolicyLimits>,
}

/// What a policy guarantees its pods about their neighbours, with the values of `spec.limits`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyLimits {
    /// The most shares of each GPU that may be in use.
    #[serde(rename = "sharesPerGPU")]
    pub shares_per_gpu: Option<u32>,
    /// `Unchecked`, `Total` or `PerGPU`.
    pub memory: &'static str,
    /// What a share counts for if its pod declares no memory, in MiB.
    pub undeclared_memory_mebibytes: u64,
    /// `Together` or `Apart`.
    pub tenants: &'static str,
    /// The pod's tenant: `namespace NAME`, or `LABEL=VALUE`.
    pub tenant: String,
    /// The limits in one sentence, without the tenant; `None` if there are none.
    #[serde(skip)]
    pub summary: Option<String>,
}

impl PolicyLimits {
    pub fn of(guarantees: &Guarantees) -> Self {
        let limits = &guarantees.limits;
        PolicyLimits {
            shares_per_gpu: limits.shares_per_gpu.map(NonZeroU32::get),
            memory: limits.memory.as_str(),
            undeclared_memory_mebibytes: limits.undeclared_memory.0,
            tenants: if limits.tenants_apart { "Apart" } else { "Together" },
            tenant: guarantees.tenant.to_string(),
            summary: (!limits.is_empty()).then(|| limits.to_string()),
        }
    }
}

/// Whether a policy governs a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum GovernanceKind {
    Policy,
    /// No policy matches.
    #[serde(rename = "nobody")]
    NoPolicy,
    /// No policy applies to this namespace, or to mirror pods.
    Exempt,
    /// The namespace's label names a policy that does not exist.
    UnknownPolicy,
    /// The cluster has no such namespace.
    UnknownNamespace,
}

/// The GPUs that a pod requests.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// The containers that request GPUs.
    pub containers: Vec<ContainerDemand>,
    /// The effective request of the pod, by Kubernetes' rule for init containers.
    pub effective: Resources,
    /// GPU memory that the pod declares by annotation, in MiB.
    pub memory_mebibytes: Option<u64>,
    /// The error, if a count or an amount cannot be parsed; nothing else is known then.
    pub unreadable: Option<String>,
}

/// The GPUs that one container requests.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerDemand {
    pub name: String,
    /// For example `spec.containers[0]`.
    pub field: String,
    pub before: Resources,
    /// What an enforcing policy grants; `null` if none does.
    pub after: Option<Resources>,
}

/// A considered way to serve a pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    pub strategy: &'static str,
    /// How nodes name the resource; `null` if the strategy cannot serve the pod at all.
    #[serde(rename = "scheme")]
    pub naming: Option<String>,
    #[serde(rename = "verdict")]
    pub status: CandidateStatus,
    /// Why the candidate was refused.
    pub reason: Option<String>,
    /// Whether the pod gets this candidate.
    pub taken: bool,
}

/// Whether a candidate can serve a pod. "Node" means one that the pod may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CandidateStatus {
    /// The pod already requests it.
    Conforms,
    /// A node has enough free.
    Free,
    /// Nodes have it, but other pods hold or await all of it.
    Busy,
    /// No node has it.
    Absent,
    /// No device plugin serves it now, but DRA may; how much is free is unknown.
    Delegated,
    /// The only nodes that have it accept no pods now: not ready, cordoned, tainted, or being
    /// reconfigured.
    Closed,
    /// The candidate cannot serve the pod.
    Refused,
}

/// How a policy handles GPU access that bypasses requests; empty if it does not isolate.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Isolation {
    /// The containers that are kept from seeing GPUs.
    pub hidden: Vec<String>,
    #[serde(rename = "shut")]
    pub denials: Vec<IsolationDenial>,
}

/// A field that isolation rejects.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IsolationDenial {
    pub field: String,
    pub reason: String,
    /// What to do instead.
    pub hint: String,
}

/// The result of admission.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionResult {
    /// The value of the webhook's metric: `rewritten`, `denied`, `would_deny` and so on.
    pub result: &'static str,
    pub admitted: bool,
    /// The strategy that the pod gets, or would get if the policy enforced.
    pub strategy: Option<&'static str>,
    pub because: String,
    /// The warnings that the client sees.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether the exit code reports a finding: the pod is denied, or fits on no node even if no
    /// other pod ran.
    pub fn is_finding(&self) -> bool {
        let is_enforced = self.governance.mode == Some("Enforce");
        !self.outcome.admitted || is_enforced && self.nodes.as_ref().is_some_and(NodeFit::is_hopeless)
    }
}

pub fn resources(counts: &Counts) -> Resources {
    counts
        .iter()
        .map(|(resource, count)| (resource.to_string(), count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_keys_differ_from_field_names_where_programs_rely_on_them() {
        let candidate = Candidate {
            strategy: "mig",
            naming: None,
            status: CandidateStatus::Absent,
            reason: None,
            taken: false,
        };
        assert_eq!(
            serde_json::to_value(candidate).unwrap(),
            json!({"strategy": "mig", "scheme": null, "verdict": "absent", "reason": null, "taken": false})
        );
        assert_eq!(
            serde_json::to_value(Isolation::default()).unwrap(),
            json!({"hidden": [], "shut": []})
        );
        assert_eq!(serde_json::to_value(GovernanceKind::NoPolicy).unwrap(), "nobody");
    }
}
