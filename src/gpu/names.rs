//! Label keys, annotation keys and resource prefixes, each once.

/// The domain of NVIDIA's resources and labels.
pub const NVIDIA_DOMAIN: &str = "nvidia.com/";

/// GPU feature discovery (k8s-device-plugin `internal/lm`): labels of whole GPUs, and of MIG devices under strategy `single`.
pub mod gpu_label {
    /// The product, with `-MIG-<profile>` and `-SHARED` where they apply.
    pub const PRODUCT: &str = "nvidia.com/gpu.product";
    /// Physical GPUs; under MIG `single`, MIG devices.
    pub const COUNT: &str = "nvidia.com/gpu.count";
    /// Replicas per GPU, 1 where not shared. NVIDIA's README calls it the product of count and replicas; the code
    /// (`resource.go`, `getReplicas`) writes it per GPU.
    pub const REPLICAS: &str = "nvidia.com/gpu.replicas";
    /// `none`, `time-slicing`, `mps`, or empty where the node's configuration is invalid.
    pub const SHARING_STRATEGY: &str = "nvidia.com/gpu.sharing-strategy";
    /// MiB of one GPU; under MIG `single`, of one MIG device.
    pub const MEMORY: &str = "nvidia.com/gpu.memory";
    /// GPU instance slices of a MIG device. Written on `nvidia.com/gpu` under MIG `single` alone, which makes its absence the
    /// one label test for a GPU that is not a MIG device (`mig-strategy.go`, `newMigAttributeLabels`).
    pub const MIG_SLICES: &str = "nvidia.com/gpu.slices.gi";
}

/// `single` or `mixed`; absent under `none`. A node under `single` without any MIG-enabled GPU has whole GPUs all the same.
pub const MIG_STRATEGY: &str = "nvidia.com/mig.strategy";
/// The outcome of the MIG manager's last change: `pending`, `rebooting`, `success` or `failed` (mig-parted
/// `pkg/mig/reconfigure`).
pub const MIG_CONFIG_STATE: &str = "nvidia.com/mig.config.state";
/// Chooses the entry of the MIG manager's configuration (mig-parted `cmd/nvidia-mig-manager`).
pub const MIG_CONFIG: &str = "nvidia.com/mig.config";
/// Chooses the key of the device plugin's `ConfigMap` (k8s-device-plugin `cmd/config-manager`).
pub const DEVICE_PLUGIN_CONFIG: &str = "nvidia.com/device-plugin.config";
/// `true`, or `paused-for-mig-change` while the MIG manager works.
pub const DEPLOY_DEVICE_PLUGIN: &str = "nvidia.com/gpu.deploy.device-plugin";

/// The suffix of a label under `nvidia.com/mig-<profile>.`: the sharing strategy.
pub const SUFFIX_SHARING_STRATEGY: &str = "sharing-strategy";
/// As above: replicas of each MIG device.
pub const SUFFIX_REPLICAS: &str = "replicas";
/// As above: MiB of one MIG device.
pub const SUFFIX_MEMORY: &str = "memory";
/// As above: MIG devices.
pub const SUFFIX_COUNT: &str = "count";

/// Names the policy of a namespace.
pub const POLICY_LABEL: &str = "apportion.dev/policy";
/// Read: the GPU memory that each container of the pod needs, a quantity of bytes such as `8Gi`.
pub const GPU_MEMORY_ANNOTATION: &str = "apportion.dev/gpu-memory";
/// Written: what was decided, as JSON.
pub const DECISION_ANNOTATION: &str = "apportion.dev/decision";
