//! Metric and label names of dcgm-exporter (`internal/pkg/rendermetrics`, `etc/default-counters.csv`).

/// Percentage of time in which a kernel ran on the whole GPU. Missing or 0 on MIG devices.
pub const GPU_UTIL: &str = "DCGM_FI_DEV_GPU_UTIL";
/// Fraction of time, 0 to 1, in which the compute engine was busy, by MIG device if there are any.
pub const ENGINE_ACTIVE: &str = "DCGM_FI_PROF_GR_ENGINE_ACTIVE";
/// Used frame buffer in MiB.
pub const MEMORY_USED: &str = "DCGM_FI_DEV_FB_USED";
/// Free frame buffer in MiB.
pub const MEMORY_FREE: &str = "DCGM_FI_DEV_FB_FREE";

/// The node, in exporters up to 4.5.3.
pub const HOST_OLD: &str = "Hostname";
/// The node, in newer exporters.
pub const HOST_NEW: &str = "hostname";
/// The GPU; for a MIG device, its parent.
pub const UUID: &str = "UUID";
/// The number of the MIG device on its GPU; absent on a whole GPU.
pub const INSTANCE: &str = "GPU_I_ID";
/// The profile of the MIG device.
pub const PROFILE: &str = "GPU_I_PROFILE";
/// The product, with spaces.
pub const MODEL: &str = "modelName";
/// The replica that a pod holds, if the exporter writes a series for every pod of a shared GPU
/// (`--kubernetes-virtual-gpus`).
pub const REPLICA: &str = "vgpu";
/// The pod that holds the device. Under `honorLabels: false` it names the exporter instead, and the
/// pod is in [`EXPORTED_POD`].
pub const POD: &str = "pod";
pub const NAMESPACE: &str = "namespace";
pub const EXPORTED_POD: &str = "exported_pod";
pub const EXPORTED_NAMESPACE: &str = "exported_namespace";
