//! The report: what was used, what was idle, what to change.
//!
//! All hours are hours of whole GPUs: a MIG device or a share counts as a fraction. The JSON names
//! are part of the public interface.

use std::fmt;

use serde::{Serialize, Serializer};

use super::allocation::Scope;
use super::missing_data::MissingData;
use super::recommendation::Recommendation;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub window: Span,
    /// `null` without a price list.
    pub currency: Option<String>,
    pub total: Total,
    /// The highest idle cost first.
    pub namespaces: Vec<NamespaceRow>,
    /// The highest idle cost first.
    pub workloads: Vec<WorkloadRow>,
    /// Ordered by node.
    pub gpus: Vec<GpuRow>,
    #[serde(rename = "unseen")]
    pub missing_data: Vec<MissingData>,
}

/// The time window of the report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    pub step_seconds: u64,
    pub hours: f64,
    /// A device is idle while its utilization is below this.
    pub idle_below_percent: f64,
    /// Seconds per value of a timeline.
    #[serde(rename = "trendSeconds")]
    pub timeline_seconds: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub gpu_hours: f64,
    pub idle_hours: f64,
    /// Mean utilization; `null` without samples.
    pub mean_percent: Option<f64>,
    /// The highest 95th percentile of the devices.
    pub p95_percent: Option<f64>,
    /// Peak memory in use on one device.
    pub memory_peak_mebibytes: Option<f64>,
    /// `null` without a price.
    pub cost: Option<f64>,
    /// The cost of the idle hours.
    #[serde(rename = "wasted")]
    pub idle_cost: Option<f64>,
    /// Mean utilization in percent by bucket; `null` without samples.
    #[serde(rename = "trend")]
    pub timeline: Vec<Option<f64>>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// Physical GPUs.
    pub gpus: usize,
    /// Whole GPUs and MIG devices.
    pub devices: usize,
    /// The usage of all devices, allocated or not.
    #[serde(flatten)]
    pub usage: Usage,
    /// GPU hours that pods are known to have held.
    #[serde(rename = "heldHours")]
    pub allocated_hours: f64,
    /// Idle hours that no pod is known to have held.
    #[serde(rename = "idleUnheldHours")]
    pub idle_unallocated_hours: f64,
    #[serde(rename = "idleUnheldCost")]
    pub idle_unallocated_cost: Option<f64>,
    /// GPU hours that the recommendations save.
    pub saving_hours: f64,
    /// The cost of these hours.
    pub saving: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceRow {
    pub namespace: String,
    /// The policy that the namespace's labels select.
    pub policy: Option<String>,
    #[serde(flatten)]
    pub usage: Usage,
    /// The widest scope of its workloads.
    pub scope: Scope,
    /// GPU hours that the recommendations save.
    pub saving_hours: f64,
    /// The cost of these hours.
    pub saving: Option<f64>,
    /// The policy that suits all workloads; `null` if it is set already, or if the workloads need
    /// different ones.
    pub set_policy: Option<String>,
    #[serde(rename = "how")]
    pub action: Option<NamespaceAction>,
}

/// What an operator should do so that the workloads of a namespace get the recommended sharing. JSON
/// has its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceAction {
    /// One policy suits all workloads.
    SetPolicy { policy: String, command: String },
    /// One policy suits all workloads except some, which must move first.
    SetPolicyAfter { step: String, command: String },
    /// Something that is not a single command.
    Manual(String),
}

impl NamespaceAction {
    /// The step in words, if there is one, and the command, if there is one.
    pub fn step_and_command(&self) -> (Option<&str>, Option<&str>) {
        match self {
            NamespaceAction::SetPolicy { command, .. } => (None, Some(command)),
            NamespaceAction::SetPolicyAfter { step, command } => (Some(step), Some(command)),
            NamespaceAction::Manual(step) => (Some(step), None),
        }
    }
}

impl fmt::Display for NamespaceAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, command) = self.step_and_command();
        f.write_str(step.unwrap_or_default())?;
        if step.is_some() && command.is_some() {
            f.write_str("; then run ")?;
        }
        f.write_str(command.unwrap_or_default())
    }
}

impl Serialize for NamespaceAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The pods that [`workload_of`](super::workload::workload_of) groups together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRow {
    pub namespace: String,
    pub workload: String,
    /// The number of pods in the window.
    pub pods: usize,
    /// The most devices or shares that one pod held.
    pub devices_per_pod: u64,
    /// How its devices were shared; empty if unknown.
    pub strategies: Vec<&'static str>,
    /// Products, with the MIG profile if there is one.
    pub products: Vec<String>,
    #[serde(flatten)]
    pub usage: Usage,
    /// Memory of the device with the memory peak.
    pub memory_total_mebibytes: Option<f64>,
    pub scope: Scope,
    #[serde(rename = "advice")]
    pub recommendation: Recommendation,
}

/// A whole GPU or a MIG device.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuRow {
    pub node: String,
    /// The GPU; for a MIG device, its parent.
    pub uuid: String,
    /// The number of the MIG device on its GPU.
    pub instance: Option<String>,
    pub profile: Option<String>,
    pub product: Option<String>,
    pub strategy: Option<&'static str>,
    /// The device as a fraction of a GPU.
    #[serde(rename = "part")]
    pub gpu_fraction: Option<f64>,
    /// The fraction of the window that has samples.
    #[serde(rename = "seenPart")]
    pub sampled_fraction: f64,
    #[serde(flatten)]
    pub usage: Usage,
    /// Mean memory in use.
    pub memory_mean_mebibytes: Option<f64>,
    pub memory_total_mebibytes: Option<f64>,
    /// The pods that held the device, as `namespace/pod`. Empty for a shared device whose pods the
    /// exporter does not distinguish.
    #[serde(rename = "holders")]
    pub pods: Vec<String>,
}
