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

/// Names the GPUs that a container sees, where the NVIDIA container runtime is a node's runtime.
pub const VISIBLE_DEVICES: &str = "NVIDIA_VISIBLE_DEVICES";
/// The value of it that is no GPU, and none of the driver's files either (nvidia-container-toolkit `devicesFromEnvvars`).
pub const VOID: &str = "void";
/// All values of it that name no GPU.
pub const VISIBLE_NOTHING: &[&str] = &["", VOID, "none"];
/// What the NVIDIA container runtime takes as a choice of devices: GPUs, the control of MIG, and the channels of IMEX, by which nodes
/// share GPU memory (nvidia-container-toolkit `internal/config/image/envvars.go`).
pub const RUNTIME_VARIABLES: &[&str] = &[
    VISIBLE_DEVICES,
    "NVIDIA_MIG_CONFIG_DEVICES",
    "NVIDIA_MIG_MONITOR_DEVICES",
    "NVIDIA_IMEX_CHANNELS",
];
/// The beginning of the variables by which a process finds an MPS daemon, and asks for more than its share of it.
pub const MPS_VARIABLES: &str = "CUDA_MPS_";
/// Domains of annotations that inject devices into containers: CDI's own, that of the NVIDIA runtime's NRI plugin, which looks at no
/// namespace but for the management devices (nvidia-container-toolkit `cmd/nvidia-ctk-installer/container/runtime/nri/plugin.go`), and
/// those of NRI's sample injectors.
pub const DEVICE_ANNOTATIONS: &[&str] = &[
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
/// Where a mount asks the NVIDIA runtime for the device of its name (nvidia-container-toolkit `DeviceListAsVolumeMountsRoot`, with `/run`
/// for `/var/run`).
pub const DEVICE_MOUNTS: &str = "/run/nvidia-container-devices";
/// Paths of a node that hold devices, or the sockets and files of those who hand them out: the kubelet, container runtimes, the NVIDIA
/// driver and its MPS daemon, the kernel, systemd. `/run` stands for `/var/run` too.
pub const NODE_PATHS: &[&str] = &[
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
/// What is in `/dev` and no way to a GPU.
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
