//! Label keys, annotation keys, environment variables and paths. Resource names are in
//! [`super::resource`].

pub const NVIDIA_DOMAIN: &str = "nvidia.com/";

/// Labels that GPU feature discovery (k8s-device-plugin `internal/lm`) writes for whole GPUs, and
/// for MIG devices under strategy `single`.
pub mod gpu_label {
    /// The product, followed by `-MIG-<profile>` and `-SHARED` where they apply.
    pub const PRODUCT: &str = "nvidia.com/gpu.product";
    /// Physical GPUs; under MIG `single`, MIG devices.
    pub const COUNT: &str = "nvidia.com/gpu.count";
    /// Replicas per GPU, 1 if not shared. NVIDIA's README calls it the product of count and
    /// replicas, but the code (`resource.go`, `getReplicas`) writes it per GPU.
    pub const REPLICAS: &str = "nvidia.com/gpu.replicas";
    /// `none`, `time-slicing`, `mps`, or empty if the node's configuration is invalid.
    pub const SHARING_STRATEGY: &str = "nvidia.com/gpu.sharing-strategy";
    /// MiB of one GPU; under MIG `single`, of one MIG device.
    pub const MEMORY: &str = "nvidia.com/gpu.memory";
    /// GPU instance slices of a MIG device. Written for `nvidia.com/gpu` only under MIG `single`,
    /// so its absence is the only label that shows that a GPU is not a MIG device
    /// (`mig-strategy.go`, `newMigAttributeLabels`).
    pub const MIG_SLICES: &str = "nvidia.com/gpu.slices.gi";
}

/// `single` or `mixed`; absent under `none`. A node under `single` without MIG-enabled GPUs still
/// has whole GPUs.
pub const MIG_STRATEGY: &str = "nvidia.com/mig.strategy";
/// The state of the MIG manager's last change: `pending`, `rebooting`, `success` or `failed`
/// (mig-parted `pkg/mig/reconfigure`).
pub const MIG_CONFIG_STATE: &str = "nvidia.com/mig.config.state";
/// Selects the entry of the MIG manager's configuration (mig-parted `cmd/nvidia-mig-manager`).
pub const MIG_CONFIG: &str = "nvidia.com/mig.config";
/// Selects the key of the device plugin's `ConfigMap` (k8s-device-plugin `cmd/config-manager`).
pub const DEVICE_PLUGIN_CONFIG: &str = "nvidia.com/device-plugin.config";
/// `true`, or `paused-for-mig-change` while the MIG manager works.
pub const DEPLOY_DEVICE_PLUGIN: &str = "nvidia.com/gpu.deploy.device-plugin";

/// The suffix of a label that starts with `nvidia.com/mig-<profile>.`, as are the following.
pub const SUFFIX_SHARING_STRATEGY: &str = "sharing-strategy";
/// Replicas of each MIG device.
pub const SUFFIX_REPLICAS: &str = "replicas";
/// MiB of one MIG device.
pub const SUFFIX_MEMORY: &str = "memory";
/// The number of MIG devices.
pub const SUFFIX_COUNT: &str = "count";

/// On a namespace: the name of its policy.
pub const POLICY_LABEL: &str = "apportion.dev/policy";
/// On a pod, set by users: the GPU memory that each container needs, in bytes, such as `8Gi`.
pub const GPU_MEMORY_ANNOTATION: &str = "apportion.dev/gpu-memory";
/// On a pod, set by the webhook: the decision, as JSON.
pub const DECISION_ANNOTATION: &str = "apportion.dev/decision";

/// The variable that selects the GPUs of a container under the NVIDIA container runtime.
pub const VISIBLE_DEVICES: &str = "NVIDIA_VISIBLE_DEVICES";
/// The value for no GPU and none of the driver's files (nvidia-container-toolkit
/// `devicesFromEnvvars`).
pub const VOID: &str = "void";
/// All values for no GPU.
pub const NO_VISIBLE_DEVICES: &[&str] = &["", VOID, "none"];
/// The variables that select devices under the NVIDIA container runtime: GPUs, MIG control devices,
/// and IMEX channels, through which nodes share GPU memory (nvidia-container-toolkit
/// `internal/config/image/envvars.go`).
pub const DEVICE_SELECTION_VARIABLES: &[&str] = &[
    VISIBLE_DEVICES,
    "NVIDIA_MIG_CONFIG_DEVICES",
    "NVIDIA_MIG_MONITOR_DEVICES",
    "NVIDIA_IMEX_CHANNELS",
];
/// Variables with this prefix select the MPS daemon of a process, and can raise its share.
pub const MPS_VARIABLE_PREFIX: &str = "CUDA_MPS_";
/// Domains of annotations that inject devices into containers: that of CDI, that of the NVIDIA
/// runtime's NRI plugin, which restricts only management devices to certain namespaces
/// (nvidia-container-toolkit `cmd/nvidia-ctk-installer/container/runtime/nri/plugin.go`), and those
/// of NRI's sample injectors.
pub const DEVICE_ANNOTATION_DOMAINS: &[&str] = &[
    "cdi.k8s.io",
    "nvidia.cdi.k8s.io",
    "cdi.nri.io",
    "cdi-devices.nri.io",
    "cdi-devices.noderesource.dev",
    "devices.nri.io",
    "devices.noderesource.dev",
    "mounts.nri.io",
    "mounts.noderesource.dev",
];
/// A mount below this path requests the device of its name from the NVIDIA runtime
/// (nvidia-container-toolkit `DeviceListAsVolumeMountsRoot`, with `/run` for `/var/run`).
pub const DEVICE_MOUNT_ROOT: &str = "/run/nvidia-container-devices";
/// Paths of a node with devices, or with the sockets and files of what hands them out: the kubelet,
/// container runtimes, the NVIDIA driver and its MPS daemon, the kernel, systemd. `/run` also
/// stands for `/var/run`.
pub const DEVICE_HOST_PATHS: &[&str] = &[
    "/dev",
    "/proc",
    "/sys",
    "/etc/cdi",
    "/etc/containerd",
    "/etc/crio",
    "/etc/docker",
    "/etc/kubernetes",
    "/etc/nvidia-container-runtime",
    "/opt/nri",
    "/run/cdi",
    "/run/containerd",
    "/run/cri-dockerd.sock",
    "/run/crio",
    "/run/dbus",
    "/run/docker",
    "/run/docker.sock",
    "/run/dockershim.sock",
    "/run/k0s",
    "/run/k3s",
    "/run/nri",
    "/run/nvidia",
    "/run/podman",
    "/run/systemd",
    "/tmp/nvidia-mps",
    "/usr/local/nvidia",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/k0s",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/snap/microk8s",
];
/// Files and directories in `/dev` that give no access to GPUs.
pub const HARMLESS_DEVICES: &[&str] = &[
    "/dev/full",
    "/dev/fuse",
    "/dev/hugepages",
    "/dev/infiniband",
    "/dev/kvm",
    "/dev/log",
    "/dev/mqueue",
    "/dev/net",
    "/dev/null",
    "/dev/random",
    "/dev/shm",
    "/dev/urandom",
    "/dev/zero",
];
