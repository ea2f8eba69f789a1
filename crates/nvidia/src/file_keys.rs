//! Keys and values in the files of NVIDIA's components that plans write and the linter reads.
//! [`crate::schema`] lists all keys.

/// The `version` of the device plugin's and mig-parted's configuration files.
pub const VERSION: &str = "v1";

/// The device plugin's configuration.
pub mod device_plugin {
    pub const FLAGS: &str = "flags";
    /// In `flags`: `none`, `single` or `mixed`.
    pub const MIG_STRATEGY: &str = "migStrategy";
    pub const SHARING: &str = "sharing";
    /// In `sharing`.
    pub const TIME_SLICING: &str = "timeSlicing";
    /// In `sharing`.
    pub const MPS: &str = "mps";
    /// In a sharing method: add `.shared` to resource names.
    pub const RENAME_BY_DEFAULT: &str = "renameByDefault";
    /// In a sharing method: reject containers that request more than one share.
    pub const FAIL_REQUESTS_GREATER_THAN_ONE: &str = "failRequestsGreaterThanOne";
    /// In a sharing method: the shared resources. At the top level: resource names, which the
    /// plugin ignores.
    pub const RESOURCES: &str = "resources";
    /// In `flags`: options of the device plugin only.
    pub const PLUGIN: &str = "plugin";
    /// In `flags.plugin`.
    pub const ALLOCATION_POLICY: &str = "sharedDevicesAllocationPolicy";
    pub const ALLOCATION_POLICIES: [&str; 2] = ["distributed", "packed"];
    pub const DEVICE_LIST_STRATEGIES: [&str; 4] = ["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"];
    pub const DEVICE_ID_STRATEGIES: [&str; 2] = ["uuid", "index"];

    /// Flags that the GPU Operator sets on every node through environment variables, which override
    /// the file. Each comes with its variable (gpu-operator
    /// `assets/state-device-plugin/0500_daemonset.yaml`).
    pub const SET_BY_OPERATOR: [(&str, &str); 5] = [
        ("flags.failOnInitError", "FAIL_ON_INIT_ERROR"),
        ("flags.mpsRoot", "MPS_ROOT"),
        ("flags.plugin.passDeviceSpecs", "PASS_DEVICE_SPECS"),
        ("flags.plugin.deviceListStrategy", "DEVICE_LIST_STRATEGY"),
        ("flags.plugin.deviceIDStrategy", "DEVICE_ID_STRATEGY"),
    ];
}

/// mig-parted's configuration.
pub mod mig_parted {
    /// The configurations, by name.
    pub const CONFIGS: &str = "mig-configs";
    /// Selects GPUs by PCI device ID.
    pub const DEVICE_FILTER: &str = "device-filter";
    /// `all`, or GPU indices.
    pub const DEVICES: &str = "devices";
    pub const MIG_ENABLED: &str = "mig-enabled";
    /// The number of MIG devices of each profile.
    pub const MIG_DEVICES: &str = "mig-devices";
    /// The configuration that the GPU Operator applies to nodes without a label.
    pub const ALL_DISABLED: &str = "all-disabled";
    /// The key of the `ConfigMap` that the MIG manager reads.
    pub const CONFIG_MAP_KEY: &str = "config.yaml";
}

/// dcgm-exporter's environment variables.
pub mod dcgm {
    /// Resource names, in addition to `nvidia.com/gpu` and `nvidia.com/mig-*`, whose pods appear in
    /// metrics.
    pub const RESOURCE_NAMES: &str = "NVIDIA_RESOURCE_NAMES";
    /// Emit one series for each pod that shares a GPU. By default the last pod's name labels the
    /// whole GPU.
    pub const VIRTUAL_GPUS: &str = "KUBERNETES_VIRTUAL_GPUS";
}

/// Whether the GPU Operator can mount the device plugin's `ConfigMap` of this name. It names a
/// volume after the `ConfigMap`, so the name is limited to 63 characters without dots, and it must
/// differ from the operator's other volume, `config` (gpu-operator
/// `controllers/object_controls.go`, `handleDevicePluginConfig`).
pub fn is_mountable(config_map: &str) -> bool {
    config_map.len() <= 63 && !config_map.contains('.') && config_map != "config"
}
