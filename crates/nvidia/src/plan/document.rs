//! The document of a plan, `kind: GpuSharingPlan`, with the position of every value that can be
//! wrong.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use apportion_core::diagnostics::selector::SelectorDocument as Selector;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    /// `apportion.dev/v1alpha1`.
    pub(super) api_version: Spanned<String>,
    /// `GpuSharingPlan`.
    pub(super) kind: Spanned<String>,
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Metadata {
    /// Rendered objects are named after it.
    pub(super) name: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) operator: Operator,
    #[serde(default)]
    pub(super) device_plugin: DevicePlugin,
    #[serde(default)]
    pub(super) scheduler: Scheduler,
    pub(super) pools: Spanned<Vec<Spanned<Pool>>>,
}

/// The GPU Operator.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Operator {
    /// The namespace of its release; default: `gpu-operator`.
    #[serde(default)]
    pub(super) namespace: Option<Spanned<String>>,
    /// Its `mig.strategy`. By default each pool sets its own, which is required to use MPS in one
    /// pool and `mixed` in another.
    #[serde(default)]
    pub(super) mig_strategy: Option<Spanned<String>>,
}

/// The device plugin, on all nodes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DevicePlugin {
    #[serde(default)]
    pub(super) config_map: ConfigMap,
    /// The pool whose configuration applies to nodes without a label.
    #[serde(default)]
    pub(super) default: Option<Spanned<String>>,
    /// How the plugin passes devices to the container runtime.
    #[serde(default)]
    pub(super) device_list_strategy: Option<Spanned<String>>,
    /// `uuid` or `index`.
    #[serde(default, rename = "deviceIDStrategy")]
    pub(super) device_id_strategy: Option<Spanned<String>>,
    /// Whether the plugin passes device nodes as well.
    #[serde(default)]
    pub(super) pass_device_specs: Option<bool>,
    /// Whether the plugin exits if it finds no GPU.
    #[serde(default)]
    pub(super) fail_on_init_error: Option<bool>,
}

/// The device plugin's `ConfigMap`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ConfigMap {
    /// Default: the plan's name and `-device-plugin`.
    #[serde(default)]
    pub(super) name: Option<Spanned<String>>,
    /// Must be the operator's namespace; plans can spell it out for readers.
    #[serde(default)]
    pub(super) namespace: Option<Spanned<String>>,
}

/// The scheduler that calls Apportion's extender.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Scheduler {
    /// The `spec.schedulerName` of its pods; default: `apportion-scheduler`.
    #[serde(default)]
    pub(super) name: Option<Spanned<String>>,
    /// The namespace of its Lease; default: `apportion-system`.
    #[serde(default)]
    pub(super) namespace: Option<Spanned<String>>,
}

/// Nodes whose GPUs are shared in the same way.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pool {
    /// A key of the `ConfigMap`, and the value of the node label that selects it.
    pub(super) name: Spanned<String>,
    /// `exclusive`, `mig`, `mps` or `time-slicing`.
    pub(super) strategy: Spanned<String>,
    #[serde(default)]
    pub(super) product: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) nodes: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) node_selector: Option<Spanned<Selector>>,
    /// The number of shares of each GPU or MIG device.
    #[serde(default)]
    pub(super) replicas: Option<Spanned<i64>>,
    /// Whether shares are named `nvidia.com/gpu.shared`, which cannot be mistaken for whole GPUs.
    #[serde(default)]
    pub(super) rename: Option<Spanned<bool>>,
    /// Whether the plugin rejects containers that request more than one share.
    #[serde(default)]
    pub(super) fail_requests_greater_than_one: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) mig: Option<Spanned<Mig>>,
    #[serde(default)]
    pub(super) device_plugin: PoolPlugin,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Mig {
    /// `mixed`: one resource for each profile; `single`: MIG devices are `nvidia.com/gpu`. Default:
    /// `mixed`.
    #[serde(default)]
    pub(super) strategy: Option<Spanned<String>>,
    /// The geometry of every GPU.
    #[serde(default)]
    pub(super) geometry: Option<Spanned<Geometry>>,
    /// Geometries by GPU index, instead of `geometry`.
    #[serde(default)]
    pub(super) gpus: Vec<Spanned<GpuLayout>>,
}

/// The number of MIG devices of each profile on one GPU.
pub(super) type Geometry = BTreeMap<String, Spanned<i64>>;

/// The geometry of some GPUs of each node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GpuLayout {
    pub(super) indices: Spanned<Vec<u32>>,
    /// Empty: MIG is disabled.
    pub(super) geometry: Spanned<Geometry>,
}

/// Options of the device plugin that can differ between pools: those that the operator does not set
/// on all nodes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PoolPlugin {
    /// `distributed` over the GPUs of a node, or `packed`.
    #[serde(default)]
    pub(super) shared_devices_allocation_policy: Option<Spanned<String>>,
}
