//! Which keys the readers of NVIDIA's files know: the device plugin's configuration, mig-parted's,
//! and the GPU Operator's Helm values.
//!
//! Sources: k8s-device-plugin v0.20.0 (`api/config/v1`), mig-parted v0.15.0 (`api/spec/v1`) and
//! gpu-operator v26.7.0 (`deployments/gpu-operator/values.yaml`).

/// The keys that are known at one place of a file. Types of values are not part of it.
#[derive(Clone, Copy, Debug)]
pub enum Schema {
    /// Not checked.
    Any,
    /// A map with these keys.
    Object(&'static [(&'static str, Schema)]),
    /// A map whose keys the user chooses.
    Map(&'static Schema),
    List(&'static Schema),
}

use Schema::{Any, List, Map, Object};

const SHARING_METHOD: Schema = Object(&[
    ("renameByDefault", Any),
    ("failRequestsGreaterThanOne", Any),
    (
        "resources",
        List(&Object(&[
            ("name", Any),
            ("rename", Any),
            ("devices", Any),
            ("replicas", Any),
        ])),
    ),
]);
const RESOURCE_PATTERNS: Schema = List(&Object(&[("pattern", Any), ("name", Any)]));

/// The device plugin's configuration. The plugin silently ignores unknown keys.
pub const DEVICE_PLUGIN: Schema = Object(&[
    ("version", Any),
    (
        "flags",
        Object(&[
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
                Object(&[
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
                Object(&[
                    ("oneshot", Any),
                    ("noTimestamp", Any),
                    ("sleepInterval", Any),
                    ("outputFile", Any),
                    ("machineTypeFile", Any),
                ]),
            ),
        ]),
    ),
    (
        "resources",
        Object(&[("gpus", RESOURCE_PATTERNS), ("mig", RESOURCE_PATTERNS)]),
    ),
    (
        "sharing",
        Object(&[("timeSlicing", SHARING_METHOD), ("mps", SHARING_METHOD)]),
    ),
    ("imex", Object(&[("channelIDs", Any), ("required", Any)])),
]);

/// mig-parted's configuration. mig-parted rejects a file with an unknown key.
pub const MIG_PARTED: Schema = Object(&[
    ("version", Any),
    (
        "mig-configs",
        Map(&List(&Object(&[
            ("device-filter", Any),
            ("devices", Any),
            ("mig-enabled", Any),
            ("mig-devices", Map(&Any)),
        ]))),
    ),
]);

const CONFIG_MAP_SETTINGS: Schema = Object(&[("create", Any), ("name", Any), ("default", Any), ("data", Map(&Any))]);

/// The GPU Operator's values, in detail where they affect sharing. Helm silently ignores values
/// that no template uses.
pub const OPERATOR_VALUES: Schema = Object(&[
    ("platform", Any),
    ("nfd", Object(&[("enabled", Any), ("nodefeaturerules", Any)])),
    ("psa", Any),
    (
        "cdi",
        Object(&[("enabled", Any), ("default", Any), ("nriPluginEnabled", Any)]),
    ),
    ("sandboxWorkloads", Any),
    ("hostPaths", Any),
    ("daemonsets", Any),
    ("validator", Any),
    ("operator", Any),
    ("mig", Object(&[("strategy", Any)])),
    (
        "driver",
        Object(&[
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
        Object(&[
            ("enabled", Any),
            ("repository", Any),
            ("image", Any),
            ("version", Any),
            ("imagePullPolicy", Any),
            ("imagePullSecrets", Any),
            ("args", Any),
            ("env", Any),
            ("resources", Any),
            ("config", CONFIG_MAP_SETTINGS),
            ("mps", Object(&[("root", Any)])),
            ("hostNetwork", Any),
        ]),
    ),
    ("dcgm", Any),
    (
        "dcgmExporter",
        Object(&[
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
                Object(&[
                    ("enabled", Any),
                    ("interval", Any),
                    ("scrapeTimeout", Any),
                    ("honorLabels", Any),
                    ("additionalLabels", Any),
                    ("relabelings", Any),
                ]),
            ),
            ("config", Object(&[("create", Any), ("name", Any), ("data", Any)])),
        ]),
    ),
    ("gfd", Any),
    (
        "migManager",
        Object(&[
            ("enabled", Any),
            ("repository", Any),
            ("image", Any),
            ("version", Any),
            ("imagePullPolicy", Any),
            ("imagePullSecrets", Any),
            ("env", Any),
            ("args", Any),
            ("resources", Any),
            ("config", CONFIG_MAP_SETTINGS),
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
    // Helm's own key.
    ("global", Any),
]);
