//! The keys of the files that NVIDIA's components read: the device plugin's configuration, mig-parted's, and the GPU Operator's
//! values, each as its reader knows it.
//!
//! Read in k8s-device-plugin v0.20.0 (`api/config/v1`), mig-parted v0.15.0 (`api/spec/v1`) and gpu-operator v26.7.0
//! (`deployments/gpu-operator/values.yaml`).

/// What may stand at a place of a file.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything: it is not ours to judge.
    Any,
    /// Keys that the reader knows.
    Keys(&'static [(&'static str, Shape)]),
    /// Keys that the user chooses, with values of one shape.
    Named(&'static Shape),
    /// A list.
    List(&'static Shape),
}

use Shape::{Any, Keys, List, Named};

/// The version of the device plugin's and mig-parted's files.
pub const VERSION: &str = "v1";

/// Keys of the device plugin's configuration.
pub mod plugin {
    /// Command line flags.
    pub const FLAGS: &str = "flags";
    /// In `flags`: `none`, `single` or `mixed`.
    pub const MIG_STRATEGY: &str = "migStrategy";
    /// How GPUs are shared.
    pub const SHARING: &str = "sharing";
    /// In `sharing`.
    pub const TIME_SLICING: &str = "timeSlicing";
    /// In `sharing`.
    pub const MPS: &str = "mps";
    /// In a method of sharing: whether `.shared` is added to names.
    pub const RENAME_BY_DEFAULT: &str = "renameByDefault";
    /// In a method of sharing: whether more than one share for a container is refused.
    pub const FAIL_ABOVE_ONE: &str = "failRequestsGreaterThanOne";
    /// In a method of sharing: what is shared. On the first level: names, which are not read.
    pub const RESOURCES: &str = "resources";
    /// In `flags`: options of the device plugin alone.
    pub const PLUGIN: &str = "plugin";
    /// In `flags.plugin`: `distributed` or `packed`.
    pub const ALLOCATION_POLICY: &str = "sharedDevicesAllocationPolicy";
    /// Values of the allocation policy.
    pub const ALLOCATION_POLICIES: [&str; 2] = ["distributed", "packed"];
    /// Values of the device list strategy.
    pub const DEVICE_LIST_STRATEGIES: [&str; 4] = ["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"];
    /// Values of the device ID strategy.
    pub const DEVICE_ID_STRATEGIES: [&str; 2] = ["uuid", "index"];

    /// Flags that the GPU Operator sets for all nodes by environment variables, which beat the file: each with its variable
    /// (gpu-operator `assets/state-device-plugin/0500_daemonset.yaml`).
    pub const SET_BY_OPERATOR: [(&str, &str); 5] = [
        ("flags.failOnInitError", "FAIL_ON_INIT_ERROR"),
        ("flags.mpsRoot", "MPS_ROOT"),
        ("flags.plugin.passDeviceSpecs", "PASS_DEVICE_SPECS"),
        ("flags.plugin.deviceListStrategy", "DEVICE_LIST_STRATEGY"),
        ("flags.plugin.deviceIDStrategy", "DEVICE_ID_STRATEGY"),
    ];
}

const SHARED: Shape = Keys(&[
    ("renameByDefault", Any),
    ("failRequestsGreaterThanOne", Any),
    (
        "resources",
        List(&Keys(&[
            ("name", Any),
            ("rename", Any),
            ("devices", Any),
            ("replicas", Any),
        ])),
    ),
]);
const PATTERNS: Shape = List(&Keys(&[("pattern", Any), ("name", Any)]));

/// The device plugin's configuration. What it does not know it passes over without a word.
pub const DEVICE_PLUGIN: Shape = Keys(&[
    ("version", Any),
    (
        "flags",
        Keys(&[
            ("migStrategy", Any),
            ("failOnInitError", Any),
            ("mpsRoot", Any),
            ("nvidiaDriverRoot", Any),
            ("nvidiaDevRoot", Any),
            ("gdrcopyEnabled", Any),
            ("gdsEnabled", Any),
            ("mofedEnabled", Any),
            ("useNodeFeatureAPI", Any),
            ("deviceDiscoveryStrategy", Any),
            (
                "plugin",
                Keys(&[
                    ("passDeviceSpecs", Any),
                    ("deviceListStrategy", Any),
                    ("deviceIDStrategy", Any),
                    ("cdiAnnotationPrefix", Any),
                    ("nvidiaCTKPath", Any),
                    ("containerDriverRoot", Any),
                    ("sharedDevicesAllocationPolicy", Any),
                ]),
            ),
            (
                "gfd",
                Keys(&[
                    ("oneshot", Any),
                    ("noTimestamp", Any),
                    ("sleepInterval", Any),
                    ("outputFile", Any),
                    ("machineTypeFile", Any),
                ]),
            ),
        ]),
    ),
    ("resources", Keys(&[("gpus", PATTERNS), ("mig", PATTERNS)])),
    ("sharing", Keys(&[("timeSlicing", SHARED), ("mps", SHARED)])),
    ("imex", Keys(&[("channelIDs", Any), ("required", Any)])),
]);

/// Keys of mig-parted's configuration.
pub mod mig_parted {
    /// The entries, by name.
    pub const CONFIGS: &str = "mig-configs";
    /// GPUs by PCI device.
    pub const DEVICE_FILTER: &str = "device-filter";
    /// `all`, or indices.
    pub const DEVICES: &str = "devices";
    /// Whether MIG is on.
    pub const ENABLED: &str = "mig-enabled";
    /// Profiles and their number.
    pub const MIG_DEVICES: &str = "mig-devices";
    /// The entry that the operator gives to nodes that name none.
    pub const ALL_DISABLED: &str = "all-disabled";
    /// The key that the operator looks for in its `ConfigMap`.
    pub const FILE: &str = "config.yaml";
}

/// mig-parted's configuration. What it does not know it refuses.
pub const MIG_PARTED: Shape = Keys(&[
    ("version", Any),
    (
        "mig-configs",
        Named(&List(&Keys(&[
            ("device-filter", Any),
            ("devices", Any),
            ("mig-enabled", Any),
            ("mig-devices", Named(&Any)),
        ]))),
    ),
]);

/// Whether the operator can mount a `ConfigMap` of this name: it names a volume after it, which takes no dot and at most 63 characters,
/// beside one called `config` (gpu-operator `controllers/object_controls.go`, `handleDevicePluginConfig`).
pub fn is_mountable(config_map: &str) -> bool {
    config_map.len() <= 63 && !config_map.contains('.') && config_map != "config"
}

const CONFIG: Shape = Keys(&[("create", Any), ("name", Any), ("default", Any), ("data", Named(&Any))]);

/// The GPU Operator's values, in depth where sharing is set. Helm passes over what no template uses.
pub const OPERATOR_VALUES: Shape = Keys(&[
    ("platform", Any),
    ("nfd", Keys(&[("enabled", Any), ("nodefeaturerules", Any)])),
    ("psa", Any),
    (
        "cdi",
        Keys(&[("enabled", Any), ("default", Any), ("nriPluginEnabled", Any)]),
    ),
    ("sandboxWorkloads", Any),
    ("hostPaths", Any),
    ("daemonsets", Any),
    ("validator", Any),
    ("operator", Any),
    ("mig", Keys(&[("strategy", Any)])),
    (
        "driver",
        Keys(&[
            ("enabled", Any),
            ("nvidiaDriverCRD", Any),
            ("kernelModuleType", Any),
            ("useOpenKernelModules", Any),
            ("usePrecompiled", Any),
            ("repository", Any),
            ("image", Any),
            ("version", Any),
            ("imagePullPolicy", Any),
            ("imagePullSecrets", Any),
            ("startupProbe", Any),
            ("livenessProbe", Any),
            ("readinessProbe", Any),
            ("rdma", Any),
            ("upgradePolicy", Any),
            ("manager", Any),
            ("env", Any),
            ("args", Any),
            ("resources", Any),
            ("repoConfig", Any),
            ("certConfig", Any),
            ("licensingConfig", Any),
            ("virtualTopology", Any),
            ("kernelModuleConfig", Any),
            ("secretEnv", Any),
            ("hostNetwork", Any),
        ]),
    ),
    ("toolkit", Any),
    (
        "devicePlugin",
        Keys(&[
            ("enabled", Any),
            ("repository", Any),
            ("image", Any),
            ("version", Any),
            ("imagePullPolicy", Any),
            ("imagePullSecrets", Any),
            ("args", Any),
            ("env", Any),
            ("resources", Any),
            ("config", CONFIG),
            ("mps", Keys(&[("root", Any)])),
            ("hostNetwork", Any),
        ]),
    ),
    ("dcgm", Any),
    (
        "dcgmExporter",
        Keys(&[
            ("enabled", Any),
            ("annotations", Any),
            ("repository", Any),
            ("image", Any),
            ("version", Any),
            ("imagePullPolicy", Any),
            ("imagePullSecrets", Any),
            ("env", Any),
            ("args", Any),
            ("resources", Any),
            ("hostPID", Any),
            ("hostNetwork", Any),
            ("hpcJobMapping", Any),
            ("enablePodLabels", Any),
            ("enablePodUID", Any),
            ("podLabelAllowlistRegex", Any),
            ("service", Any),
            (
                "serviceMonitor",
                Keys(&[
                    ("enabled", Any),
                    ("interval", Any),
                    ("scrapeTimeout", Any),
                    ("honorLabels", Any),
                    ("additionalLabels", Any),
                    ("relabelings", Any),
                ]),
            ),
            ("config", Keys(&[("create", Any), ("name", Any), ("data", Any)])),
        ]),
    ),
    ("gfd", Any),
    (
        "migManager",
        Keys(&[
            ("enabled", Any),
            ("repository", Any),
            ("image", Any),
            ("version", Any),
            ("imagePullPolicy", Any),
            ("imagePullSecrets", Any),
            ("env", Any),
            ("args", Any),
            ("resources", Any),
            ("config", CONFIG),
            ("gpuClientsConfig", Any),
            ("hostNetwork", Any),
        ]),
    ),
    ("nodeStatusExporter", Any),
    ("gds", Any),
    ("gdrcopy", Any),
    ("vgpuManager", Any),
    ("vgpuDeviceManager", Any),
    ("vfioManager", Any),
    ("kataManager", Any),
    ("sandboxDevicePlugin", Any),
    ("kataSandboxDevicePlugin", Any),
    ("ccManager", Any),
    ("clusterPolicy", Any),
    ("gpuCluster", Any),
    ("draDriver", Any),
    ("extraObjects", Any),
    ("node-feature-discovery", Any),
    // Helm's own.
    ("global", Any),
]);

/// dcgm-exporter's environment.
pub mod dcgm {
    /// Resources beside `nvidia.com/gpu` and `nvidia.com/mig-*` whose pods are named in metrics.
    pub const RESOURCE_NAMES: &str = "NVIDIA_RESOURCE_NAMES";
    /// A series for each pod that shares a GPU, instead of the last one's name on all of it.
    pub const VIRTUAL_GPUS: &str = "KUBERNETES_VIRTUAL_GPUS";
}
