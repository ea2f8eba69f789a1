//! The report: what was used, what was wasted, what to change. All hours are hours of whole GPUs: a MIG device counts for its part.

use serde::Serialize;

use super::advice::Advice;
use super::holding::Scope;
use super::unseen::Unseen;

/// The whole report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The time.
    pub window: Span,
    /// What amounts are in; `null` without a price list.
    pub currency: Option<String>,
    /// Everything together.
    pub total: Total,
    /// By namespace, the most wasteful first.
    pub namespaces: Vec<NamespaceRow>,
    /// By workload, the most wasteful first.
    pub workloads: Vec<WorkloadRow>,
    /// By device, node by node.
    pub gpus: Vec<GpuRow>,
    /// What the numbers do not hold.
    pub unseen: Vec<Unseen>,
}

/// The time that a report is about.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// Seconds.
    pub step_seconds: u64,
    /// Its length.
    pub hours: f64,
    /// Below this utilization a device is idle.
    pub idle_below_percent: f64,
    /// Seconds of one value of a trend.
    pub trend_seconds: u64,
}

/// How much was used of what was there.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// GPU hours.
    pub gpu_hours: f64,
    /// Those in which utilization was below the limit.
    pub idle_hours: f64,
    /// Mean utilization in per cent; `null` where none was seen.
    pub mean_percent: Option<f64>,
    /// The highest 95th percentile among the devices.
    pub p95_percent: Option<f64>,
    /// The most memory that was in use on one device, MiB.
    pub memory_peak_mebibytes: Option<f64>,
    /// What the hours cost; `null` without a price.
    pub cost: Option<f64>,
    /// What the idle hours cost.
    pub wasted: Option<f64>,
    /// Mean utilization over time, per cent; `null` where nothing was seen.
    pub trend: Vec<Option<f64>>,
}

/// Everything together.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// Physical GPUs.
    pub gpus: usize,
    /// Whole GPUs and MIG devices.
    pub devices: usize,
    /// Of all devices, whoever held them.
    #[serde(flatten)]
    pub usage: Usage,
    /// GPU hours that pods held, as far as that is known.
    pub held_hours: f64,
    /// Idle hours that no pod is known to have held.
    pub idle_unheld_hours: f64,
    /// What these cost.
    pub idle_unheld_cost: Option<f64>,
    /// GPU hours that the recommendations save.
    pub saving_hours: f64,
    /// What these cost.
    pub saving: Option<f64>,
}

/// A namespace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceRow {
    /// Its name.
    pub namespace: String,
    /// The policy that governs its pods by its labels.
    pub policy: Option<String>,
    /// How much it used.
    #[serde(flatten)]
    pub usage: Usage,
    /// Whose values these are: the widest of its workloads'.
    pub scope: Scope,
    /// GPU hours that the recommendations save.
    pub saving_hours: f64,
    /// What these cost.
    pub saving: Option<f64>,
    /// The policy that all its workloads should be under; `null` where it has the right one, or they want different ones.
    pub set_policy: Option<String>,
    /// What to type, or what stands in the way.
    pub how: Option<String>,
}

/// A workload: pods of one name.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRow {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub workload: String,
    /// Pods that were seen.
    pub pods: usize,
    /// The most devices, or shares, that one pod held.
    pub devices_per_pod: u64,
    /// Ways in which what it held is shared; empty where that is not known.
    pub strategies: Vec<&'static str>,
    /// Products, with the MIG profile where there is one.
    pub products: Vec<String>,
    /// How much it used.
    #[serde(flatten)]
    pub usage: Usage,
    /// Memory of the device on which the peak was, MiB.
    pub memory_total_mebibytes: Option<f64>,
    /// Whose values these are.
    pub scope: Scope,
    /// What to do.
    pub advice: Advice,
}

/// A whole GPU or MIG device.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuRow {
    /// The node.
    pub node: String,
    /// The GPU; of a MIG device, its parent.
    pub uuid: String,
    /// The MIG device on it.
    pub instance: Option<String>,
    /// Its profile.
    pub profile: Option<String>,
    /// The product.
    pub product: Option<String>,
    /// How it is shared.
    pub strategy: Option<&'static str>,
    /// The part of a GPU that it is.
    pub part: Option<f64>,
    /// The part of the window in which it was seen.
    pub seen_part: f64,
    /// How much of it was used.
    #[serde(flatten)]
    pub usage: Usage,
    /// Mean memory in use, MiB.
    pub memory_mean_mebibytes: Option<f64>,
    /// Memory in all, MiB.
    pub memory_total_mebibytes: Option<f64>,
    /// Pods by name that held it, `namespace/pod`; of a shared device without names, none.
    pub holders: Vec<String>,
}
