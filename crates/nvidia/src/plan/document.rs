//! A plan as it is written: `kind: GpuSharingPlan`.
//!
//! Every value that can be wrong keeps its place in the text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use apportion_core::policy::document::Selector;

/// The document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// `apportion.dev/v1alpha1`.
    pub api_version: Spanned<String>,
    /// `GpuSharingPlan`.
    pub kind: Spanned<String>,
    /// Its name.
    pub metadata: Metadata,
    /// The plan.
    pub spec: Spec,
}

/// Its metadata.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The plan's name: what is rendered is named after it.
    pub name: Spanned<String>,
}

/// Its specification.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The GPU Operator.
    #[serde(default)]
    pub operator: Operator,
    /// The device plugin, on all nodes.
    #[serde(default)]
    pub device_plugin: DevicePlugin,
    /// The scheduler that asks Apportion's extender.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// The pools of nodes.
    pub pools: Spanned<Vec<Spanned<Pool>>>,
}

/// The GPU Operator.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operator {
    /// The namespace of its release; default: `gpu-operator`.
    #[serde(default)]
    pub namespace: Option<Spanned<String>>,
    /// `mig.strategy` of its values. Left out, each pool decides, which is the one way to have MPS beside `mixed`.
    #[serde(default)]
    pub mig_strategy: Option<Spanned<String>>,
}

/// The device plugin, on all nodes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevicePlugin {
    /// Its `ConfigMap`.
    #[serde(default)]
    pub config_map: ConfigMap,
    /// The pool whose configuration a node without the label gets.
    #[serde(default)]
    pub default: Option<Spanned<String>>,
    /// How the plugin names devices to the container runtime.
    #[serde(default)]
    pub device_list_strategy: Option<Spanned<String>>,
    /// `uuid` or `index`.
    #[serde(default, rename = "deviceIDStrategy")]
    pub device_id_strategy: Option<Spanned<String>>,
    /// Whether device files are passed, too.
    #[serde(default)]
    pub pass_device_specs: Option<bool>,
    /// Whether the plugin ends where it finds no GPU.
    #[serde(default)]
    pub fail_on_init_error: Option<bool>,
}

/// The device plugin's `ConfigMap`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMap {
    /// Default: the plan's name and `-device-plugin`.
    #[serde(default)]
    pub name: Option<Spanned<String>>,
    /// Must be the operator's; there for who wants to read it.
    #[serde(default)]
    pub namespace: Option<Spanned<String>>,
}

/// The scheduler that asks Apportion's extender.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scheduler {
    /// What `spec.schedulerName` of pods says; default: `apportion-scheduler`.
    #[serde(default)]
    pub name: Option<Spanned<String>>,
    /// The namespace of its lease; default: `apportion-system`.
    #[serde(default)]
    pub namespace: Option<Spanned<String>>,
}

/// Nodes that share their GPUs alike.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    /// The pool's name: a key of the `ConfigMap`, and the value of the node label that chooses it.
    pub name: Spanned<String>,
    /// `exclusive`, `mig`, `mps` or `time-slicing`.
    pub strategy: Spanned<String>,
    /// The GPUs of its nodes.
    #[serde(default)]
    pub product: Option<Spanned<String>>,
    /// Its nodes, by name.
    #[serde(default)]
    pub nodes: Vec<Spanned<String>>,
    /// Its nodes, by label.
    #[serde(default)]
    pub node_selector: Option<Spanned<Selector>>,
    /// Shares of each GPU, or of each MIG device.
    #[serde(default)]
    pub replicas: Option<Spanned<i64>>,
    /// Whether shares are `nvidia.com/gpu.shared`, which nobody takes for a GPU.
    #[serde(default)]
    pub rename: Option<Spanned<bool>>,
    /// Whether the plugin refuses containers that ask for more than one share.
    #[serde(default)]
    pub fail_requests_greater_than_one: Option<Spanned<bool>>,
    /// How its GPUs are partitioned.
    #[serde(default)]
    pub mig: Option<Spanned<Mig>>,
    /// Options of the device plugin that may differ from pool to pool.
    #[serde(default)]
    pub device_plugin: PoolPlugin,
}

/// How GPUs are partitioned.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mig {
    /// `mixed`: a resource for each profile; `single`: MIG devices are `nvidia.com/gpu`. Default: `mixed`.
    #[serde(default)]
    pub strategy: Option<Spanned<String>>,
    /// Profiles and their number, on every GPU.
    #[serde(default)]
    pub geometry: Option<Spanned<Geometry>>,
    /// Or GPU by GPU.
    #[serde(default)]
    pub gpus: Vec<Spanned<GpuLayout>>,
}

/// Profiles and their number on one GPU.
pub type Geometry = BTreeMap<String, Spanned<i64>>;

/// Some GPUs of each node and their geometry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GpuLayout {
    /// Their indices.
    pub indices: Spanned<Vec<u32>>,
    /// Empty: MIG is off on them.
    pub geometry: Spanned<Geometry>,
}

/// Options of the device plugin that may differ from pool to pool: those that the operator does not set for all nodes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolPlugin {
    /// `distributed` over the GPUs of a node, or `packed`.
    #[serde(default)]
    pub shared_devices_allocation_policy: Option<Spanned<String>>,
}
