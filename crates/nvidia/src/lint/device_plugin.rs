//! Checks the device plugin's configuration for what the plugin rejects or silently ignores.
//!
//! Rules: k8s-device-plugin v0.20.0, `api/config/v1` (parsing), `cmd/nvidia-device-plugin/main.go`
//! (`validateFlags`), `internal/plugin/mps.go` and `cmd/mps-control-daemon/mps/device.go`.

use super::config_map::Configuration;
use super::unknown_keys::{UnknownKey, unknown_keys};
use crate::file_keys::{VERSION, device_plugin as keys};
use crate::schema::DEVICE_PLUGIN;
use crate::yaml::{LocatedValue, Value};
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};
use apportion_core::gpu::GpuResource;
use apportion_core::gpu::names::NVIDIA_DOMAIN;
use apportion_core::gpu::strategy::{MAX_MPS_REPLICAS, MAX_MPS_REPLICAS_PRE_TURING, MIN_REPLICAS};

/// The maximum length of a resource name with its domain (`api/config/v1/consts.go`).
const MAX_RESOURCE_NAME_LENGTH: usize = 63;

#[derive(Clone, Copy, Debug)]
pub(super) struct SharingMethod<'v> {
    /// `timeSlicing` or `mps`.
    pub(super) name: &'static str,
    pub(super) value: &'v LocatedValue,
}

/// The sharing method that the plugin uses. MPS overrides time-slicing (`sharing.go`).
pub(super) fn sharing_method(root: &LocatedValue) -> Option<SharingMethod<'_>> {
    let sharing = root.get(keys::SHARING)?;
    [keys::MPS, keys::TIME_SLICING]
        .into_iter()
        .find_map(|name| sharing.get(name).map(|value| SharingMethod { name, value }))
}

/// Checks one configuration on its own.
pub(super) fn lint(configuration: &Configuration) -> Vec<Finding> {
    let mut linter = Linter {
        configuration,
        findings: Vec::new(),
    };
    linter.check();
    linter.findings
}

struct Linter<'c> {
    configuration: &'c Configuration,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn error(&mut self, at: &Location, path: &str, message: impl Into<String>) {
        let field = self.configuration.field(path);
        self.findings.push(Finding::error(at.clone(), field, message));
    }

    fn warning(&mut self, at: &Location, path: &str, message: impl Into<String>) {
        let field = self.configuration.field(path);
        self.findings.push(Finding::warning(at.clone(), field, message));
    }

    fn check(&mut self) {
        let root = &self.configuration.root;
        if let Some(version) = root.get("version")
            && version.as_str() != Some(VERSION)
        {
            let message = format!("the plugin rejects version {}; write {VERSION}", version.quoted());
            self.error(&version.location, "version", message);
        }
        for key in unknown_keys(root, &DEVICE_PLUGIN) {
            let message = unknown_key_message(&key);
            self.warning(&key.location, &key.path, message);
        }
        self.check_flags(root);
        if let Some((key, _)) = root.entry(keys::RESOURCES) {
            let message = "the plugin ignores this and logs a warning, because resources cannot be renamed here; remove it, and use renameByDefault in sharing";
            self.warning(&key.location, keys::RESOURCES, message);
        }
        let Some(sharing) = root.get(keys::SHARING) else {
            return;
        };
        for name in [keys::TIME_SLICING, keys::MPS] {
            if let Some(value) = sharing.get(name) {
                self.check_sharing_method(SharingMethod { name, value });
            }
        }
        if let (Some((key, _)), Some(_)) = (sharing.entry(keys::TIME_SLICING), sharing.get(keys::MPS)) {
            let message = "ignored, because mps is set as well and overrides it; remove one of them";
            self.warning(&key.location, "sharing.timeSlicing", message);
        }
        if let Some(mps) = sharing.get(keys::MPS)
            && let Some(strategy) = root.get_path("flags.migStrategy")
            && strategy.as_str() == Some("mixed")
        {
            let message = format!(
                "the plugin exits with \"using --mig-strategy=mixed is not supported with MPS\" (sharing.mps at {}); write none here, and use MIG on other nodes",
                mps.location
            );
            self.error(&strategy.location, "flags.migStrategy", message);
        }
    }

    fn check_flags(&mut self, root: &LocatedValue) {
        const VALUES: [(&str, &[&str]); 4] = [
            ("flags.migStrategy", &["none", "single", "mixed"]),
            ("flags.deviceDiscoveryStrategy", &["auto", "nvml", "tegra"]),
            ("flags.plugin.deviceIDStrategy", &keys::DEVICE_ID_STRATEGIES),
            ("flags.plugin.sharedDevicesAllocationPolicy", &keys::ALLOCATION_POLICIES),
        ];
        for (path, known) in VALUES {
            if let Some(value) = root.get_path(path)
                && value.as_str().is_none_or(|text| !known.contains(&text))
            {
                let message = format!("the plugin rejects {}; write {}", value.quoted(), known.join(" or "));
                self.error(&value.location, path, message);
            }
        }
        let path = "flags.plugin.deviceListStrategy";
        if let Some(value) = root.get_path(path) {
            for one in if value.items().is_empty() {
                std::slice::from_ref(value)
            } else {
                value.items()
            } {
                if one
                    .as_str()
                    .is_none_or(|text| !keys::DEVICE_LIST_STRATEGIES.contains(&text))
                {
                    let message = format!(
                        "the plugin rejects {}; write {}, or a list of them",
                        one.quoted(),
                        keys::DEVICE_LIST_STRATEGIES.join(" or ")
                    );
                    self.error(&one.location, path, message);
                }
            }
        }
    }

    fn check_sharing_method(&mut self, method: SharingMethod<'_>) {
        let path = format!("sharing.{}", method.name);
        let renames_by_default = method
            .value
            .get(keys::RENAME_BY_DEFAULT)
            .and_then(LocatedValue::as_bool)
            == Some(true);
        let Some(resources) = method
            .value
            .get(keys::RESOURCES)
            .filter(|list| !list.items().is_empty())
        else {
            let message = "the plugin requires resources; list one, such as {name: nvidia.com/gpu, replicas: 4}";
            self.error(&method.value.location, &format!("{path}.resources"), message);
            return;
        };
        for (at, item) in resources.items().iter().enumerate() {
            self.check_resource(item, method, renames_by_default, &format!("{path}.resources[{at}]"));
        }
    }

    fn check_resource(&mut self, item: &LocatedValue, method: SharingMethod<'_>, renames_by_default: bool, path: &str) {
        match item.get("name").map(|name| (name, name.as_str())) {
            None => self.error(
                &item.location,
                path,
                "the plugin requires a name; write name: nvidia.com/gpu",
            ),
            Some((name, None)) => {
                let message = format!("{} is not a resource name; write nvidia.com/gpu", name.quoted());
                self.error(&name.location, &format!("{path}.name"), message);
            }
            Some((name, Some(text))) => self.check_name(name, text, method, path),
        }
        match item.get("replicas") {
            None => self.error(
                &item.location,
                path,
                "the plugin requires replicas; write the number of shares, such as replicas: 4",
            ),
            Some(replicas) => self.check_replicas(replicas, method, path),
        }
        if let Some((key, rename)) = item.entry("rename") {
            let name = item.get("name").and_then(LocatedValue::as_str).unwrap_or_default();
            if !(renames_by_default && rename.as_str() == Some(&format!("{}.shared", with_domain(name)))) {
                let message = "the plugin ignores this and logs a warning; to add .shared to the name, write renameByDefault: true next to resources; no other names are possible";
                self.warning(&key.location, &format!("{path}.rename"), message);
            }
        }
        if let Some((key, devices)) = item.entry("devices")
            && devices.as_str() != Some("all")
        {
            let path = format!("{path}.devices");
            if matches!(devices.value, Value::String(_) | Value::Map(_) | Value::Bool(_)) {
                let message = format!(
                    "the plugin rejects {}; remove it: all devices are shared",
                    devices.quoted()
                );
                self.error(&devices.location, &path, message);
            } else {
                let message = "the plugin ignores this, logs a warning and shares all devices; remove it, and keep GPUs that are not shared on other nodes";
                self.warning(&key.location, &path, message);
            }
        }
    }

    fn check_name(&mut self, name: &LocatedValue, text: &str, method: SharingMethod<'_>, path: &str) {
        let path = format!("{path}.name");
        let full_name = with_domain(text);
        if full_name.len() > MAX_RESOURCE_NAME_LENGTH {
            let message = format!(
                "`{full_name}` has {} characters; the plugin allows at most {MAX_RESOURCE_NAME_LENGTH}",
                full_name.len()
            );
            self.error(&name.location, &path, message);
            return;
        }
        match full_name.parse::<GpuResource>() {
            Ok(GpuResource::Gpu) => {}
            Ok(GpuResource::Mig(_)) if method.name == keys::MPS => {
                let message = "the plugin does not start with MPS on MIG devices; use timeSlicing, or remove it";
                self.error(&name.location, &path, message);
            }
            Ok(GpuResource::Mig(profile)) => {
                let strategy = self
                    .configuration
                    .root
                    .get_path("flags.migStrategy")
                    .and_then(LocatedValue::as_str);
                if let Some(strategy) = strategy.filter(|strategy| *strategy != "mixed") {
                    let message = format!(
                        "with migStrategy {strategy} no resource exists for {profile}, so nothing is shared; write migStrategy: mixed, or name: nvidia.com/gpu"
                    );
                    self.warning(&name.location, &path, message);
                }
            }
            Ok(GpuResource::GpuShared | GpuResource::MigShared(_)) => {
                let message = "this is the name after sharing; write the name without .shared, and renameByDefault: true next to resources";
                self.warning(&name.location, &path, message);
            }
            Err(error) => {
                let gpu = GpuResource::Gpu.to_string();
                let near = spelling::nearest(&full_name, [gpu.as_str()]);
                let help = near.map_or_else(|| error.to_string(), |near| format!("did you mean {near}?"));
                let message = format!("the plugin has no resource `{text}`, so nothing is shared; {help}");
                self.warning(&name.location, &path, message);
            }
        }
    }

    fn check_replicas(&mut self, replicas: &LocatedValue, method: SharingMethod<'_>, path: &str) {
        let path = format!("{path}.replicas");
        let Some(count) = replicas.as_i64() else {
            let message = format!("the plugin rejects {}; write an integer", replicas.quoted());
            self.error(&replicas.location, &path, message);
            return;
        };
        if count < MIN_REPLICAS {
            let message = format!(
                "{count} is too few: the plugin requires at least {MIN_REPLICAS}; write {MIN_REPLICAS} or more, or remove sharing"
            );
            self.error(&replicas.location, &path, message);
        } else if method.name == keys::MPS && count > MAX_MPS_REPLICAS {
            let message = format!(
                "{count} is too many: the MPS daemon supports at most {MAX_MPS_REPLICAS} shares of a GPU and exits if there are more; write {MAX_MPS_REPLICAS} or less"
            );
            self.error(&replicas.location, &path, message);
        } else if method.name == keys::MPS && count > MAX_MPS_REPLICAS_PRE_TURING {
            let message = format!(
                "{count} is too many for V100 and older GPUs: their MPS daemon exits at more than {MAX_MPS_REPLICAS_PRE_TURING} shares; write {MAX_MPS_REPLICAS_PRE_TURING} or less if a node has such a GPU"
            );
            self.warning(&replicas.location, &path, message);
        }
    }
}

/// The plugin adds its domain to a name without one.
fn with_domain(name: &str) -> String {
    if name.starts_with(NVIDIA_DOMAIN) {
        name.to_owned()
    } else {
        format!("{NVIDIA_DOMAIN}{name}")
    }
}

fn unknown_key_message(key: &UnknownKey) -> String {
    let is_memory = key.key.to_ascii_lowercase().contains("mem");
    if is_memory && key.path.starts_with("sharing.mps") {
        return "the plugin silently ignores this unknown key: with MPS a process gets at most the GPU's memory divided by replicas; remove it, and choose replicas for the memory that you want".to_owned();
    }
    if is_memory && key.path.starts_with("sharing.") {
        return "the plugin silently ignores this unknown key: time slices share all of the GPU's memory; remove it, or use mps or MIG, which divide the memory".to_owned();
    }
    format!("the plugin silently ignores this unknown key; {}", key.help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::Sources;

    fn found(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        sources.add("c.yaml", text).unwrap();
        sources
            .device_plugin_configs()
            .flat_map(lint)
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn valid_configurations_have_no_findings() {
        for text in [
            "version: v1\nflags: {migStrategy: none}\n",
            "version: v1\nsharing: {timeSlicing: {renameByDefault: true, resources: [{name: nvidia.com/gpu, replicas: 100, devices: all, rename: nvidia.com/gpu.shared}]}}\n",
            "version: v1\nsharing: {mps: {failRequestsGreaterThanOne: false, resources: [{name: gpu, replicas: 16}]}}\n",
            "version: v1\nflags: {migStrategy: mixed, plugin: {deviceListStrategy: [envvar, cdi-cri]}}\nsharing: {timeSlicing: {resources: [{name: nvidia.com/mig-1g.10gb, replicas: 2}]}}\n",
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn mistakes_are_located_with_a_fix() {
        let mps = |resource: &str| format!("version: v1\nsharing:\n  mps:\n    resources:\n    - {resource}\n");
        let slices =
            |resource: &str| format!("version: v1\nsharing:\n  timeSlicing:\n    resources:\n    - {resource}\n");
        for (text, location, expected) in [
            ("version: v2\nflags: {}\n".to_owned(), "c.yaml:1:10: error", "write v1"),
            (
                "version: v1\nflags:\n  renameByDefault: true\n".to_owned(),
                "c.yaml:3:3: warning: flags.renameByDefault",
                "silently ignores this unknown key; it belongs in sharing.timeSlicing or sharing.mps",
            ),
            (
                "version: v1\nflags:\n  migStrategy: mixd\n".to_owned(),
                "c.yaml:3:16: error",
                "write none or single or mixed",
            ),
            (
                "version: v1\nflags: {plugin: {deviceListStrategy: cdi}}\n".to_owned(),
                "c.yaml:2:38: error",
                "write envvar or",
            ),
            (
                "version: v1\nresources: {gpus: [{pattern: '*', name: gpu}]}\n".to_owned(),
                "c.yaml:2:1: warning",
                "ignores this",
            ),
            (
                mps("{name: nvidia.com/gpu, replicas: 4, memoryLimit: 8Gi}"),
                "c.yaml:5:43: warning: sharing.mps.resources[0].memoryLimit",
                "the GPU's memory divided by replicas; remove it",
            ),
            (
                slices("{name: nvidia.com/gpu, replicas: 4, memoryGB: 8}"),
                "c.yaml:5:43: warning",
                "time slices share all of the GPU's memory",
            ),
            (
                slices("{name: nvidia.com/gpu, replica: 4}"),
                "c.yaml:5:30: warning",
                "did you mean replicas?",
            ),
            (mps("{name: nvidia.com/gpu, replicas: 1}"), "c.yaml:5:40: error", "requires at least 2"),
            (mps("{name: nvidia.com/gpu, replicas: 49}"), "c.yaml:5:40: error", "at most 48"),
            (mps("{name: nvidia.com/gpu, replicas: 17}"), "c.yaml:5:40: warning", "exits at more than 16"),
            (mps("{name: nvidia.com/gpu, replicas: '4'}"), "c.yaml:5:40: error", "write an integer"),
            (mps("{replicas: 4}"), "c.yaml:5:7: error", "requires a name"),
            (
                mps("{name: nvidia.com/mig-1g.10gb, replicas: 4}"),
                "c.yaml:5:14: error",
                "MPS on MIG devices",
            ),
            (
                slices("{name: nvidia.com/gpus, replicas: 4}"),
                "c.yaml:5:14: warning",
                "did you mean nvidia.com/gpu?",
            ),
            (
                slices("{name: nvidia.com/gpu.shared, replicas: 4}"),
                "c.yaml:5:14: warning",
                "without .shared",
            ),
            (
                slices("{name: nvidia.com/gpu, replicas: 4, rename: nvidia.com/slice}"),
                "c.yaml:5:43: warning",
                "write renameByDefault: true",
            ),
            (
                slices("{name: nvidia.com/gpu, replicas: 4, devices: [0]}"),
                "c.yaml:5:43: warning",
                "shares all devices",
            ),
            (
                slices("{name: nvidia.com/gpu, replicas: 4, devices: some}"),
                "c.yaml:5:52: error",
                "all devices are shared",
            ),
            (
                "version: v1\nsharing: {mps: {resources: []}}\n".to_owned(),
                "c.yaml:2:16: error",
                "list one",
            ),
            (
                "version: v1\nflags: {migStrategy: none}\nsharing: {timeSlicing: {resources: [{name: nvidia.com/mig-1g.5gb, replicas: 2}]}}\n".to_owned(),
                "c.yaml:3:44: warning",
                "no resource exists for 1g.5gb",
            ),
            (
                "version: v1\nflags: {migStrategy: mixed}\nsharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 2}]}}\n".to_owned(),
                "c.yaml:2:22: error",
                "is not supported with MPS",
            ),
            (
                "version: v1\nsharing:\n  timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 2}]}\n  mps: {resources: [{name: nvidia.com/gpu, replicas: 2}]}\n".to_owned(),
                "c.yaml:3:3: warning",
                "overrides it",
            ),
        ] {
            let found = found(&text);
            assert!(
                found.iter().any(|line| line.starts_with(location) && line.contains(expected)),
                "{text}\n{found:#?}"
            );
            assert!(found.len() <= 2, "{text}\n{found:#?}");
        }
    }
}
