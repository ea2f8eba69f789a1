//! Names of dcgm-exporter's metrics and labels (`internal/pkg/rendermetrics`, `etc/default-counters.csv`).

/// Per cent of time in which a kernel ran on the whole GPU. On MIG devices it is missing or 0.
pub const GPU_UTIL: &str = "DCGM_FI_DEV_GPU_UTIL";
/// The part of time, 0 to 1, in which the compute engine was busy: of the MIG device where there is one.
pub const ENGINE_ACTIVE: &str = "DCGM_FI_PROF_GR_ENGINE_ACTIVE";
/// MiB of frame buffer in use.
pub const MEMORY_USED: &str = "DCGM_FI_DEV_FB_USED";
/// MiB of frame buffer that are free.
pub const MEMORY_FREE: &str = "DCGM_FI_DEV_FB_FREE";

/// The node, in exporters up to 4.5.3.
pub const HOST_OLD: &str = "Hostname";
/// The node, in exporters since then.
pub const HOST_NEW: &str = "hostname";
/// The GPU; of a MIG device, its parent.
pub const UUID: &str = "UUID";
/// The MIG device on its GPU; absent for a whole GPU.
pub const INSTANCE: &str = "GPU_I_ID";
/// The profile of the MIG device.
pub const PROFILE: &str = "GPU_I_PROFILE";
/// The product, with blanks.
pub const MODEL: &str = "modelName";
/// The replica that a pod holds, where the exporter names every pod of a shared GPU (`--kubernetes-virtual-gpus`).
pub const VIRTUAL: &str = "vgpu";
