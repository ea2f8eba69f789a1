//! The device plugin's configuration: what it refuses, and what it passes over without a word.
//!
//! Its rules: k8s-device-plugin v0.20.0, `api/config/v1` (what is read), `cmd/nvidia-device-plugin/main.go` (`validateFlags`),
//! `internal/plugin/mps.go` and `cmd/mps-control-daemon/mps/device.go`.

use super::keys::{self, Unknown};
use super::source::Configuration;
use super::tree::{Content, Value};
use crate::file_keys::{DEVICE_PLUGIN, VERSION, plugin};
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};
use apportion_core::gpu::GpuResource;
use apportion_core::gpu::names::NVIDIA_DOMAIN;
use apportion_core::gpu::replicas::{FEWEST_REPLICAS, MOST_MPS_REPLICAS, MOST_MPS_REPLICAS_BEFORE_TURING};

/// The longest name of a resource, with its domain (`api/config/v1/consts.go`).
const LONGEST_NAME: usize = 63;

/// How a configuration shares GPUs: what the plugin makes of it.
#[derive(Clone, Copy, Debug)]
pub struct Method<'v> {
    /// `timeSlicing` or `mps`.
    pub name: &'static str,
    /// Its value.
    pub value: &'v Value,
}

/// The method that counts: MPS wins (`sharing.go`).
pub fn method(root: &Value) -> Option<Method<'_>> {
    let sharing = root.get(plugin::SHARING)?;
    [plugin::MPS, plugin::TIME_SLICING]
        .into_iter()
        .find_map(|name| sharing.get(name).map(|value| Method { name, value }))
}

/// What is wrong or doubtful in a configuration, alone.
pub fn lint(configuration: &Configuration) -> Vec<Finding> {
    let mut lint = Lint {
        configuration,
        findings: Vec::new(),
    };
    lint.whole();
    lint.findings
}

struct Lint<'c> {
    configuration: &'c Configuration,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn error(&mut self, at: &Location, path: &str, message: impl Into<String>) {
        let field = self.configuration.field(path);
        self.findings.push(Finding::error(at.clone(), field, message));
    }

    fn warning(&mut self, at: &Location, path: &str, message: impl Into<String>) {
        let field = self.configuration.field(path);
        self.findings.push(Finding::warning(at.clone(), field, message));
    }

    fn whole(&mut self) {
        let root = &self.configuration.root;
        if let Some(version) = root.get("version")
            && version.text() != Some(VERSION)
        {
            let message = format!(
                "{} is no version that the plugin reads; write {VERSION}",
                version.quoted()
            );
            self.error(&version.location, "version", message);
        }
        for key in keys::unknown(root, &DEVICE_PLUGIN) {
            let message = ignored(&key);
            self.warning(&key.location, &key.path, message);
        }
        self.flags(root);
        if let Some((key, _)) = root.entry(plugin::RESOURCES) {
            let message = "the plugin reads it and then drops it, with a line in its log: resources can not be named here; remove it, and use renameByDefault in sharing";
            self.warning(&key.location, plugin::RESOURCES, message);
        }
        let Some(sharing) = root.get(plugin::SHARING) else {
            return;
        };
        for name in [plugin::TIME_SLICING, plugin::MPS] {
            if let Some(value) = sharing.get(name) {
                self.method(Method { name, value });
            }
        }
        if let (Some((key, _)), Some(_)) = (sharing.entry(plugin::TIME_SLICING), sharing.get(plugin::MPS)) {
            let message =
                "mps stands beside it and wins, so this is ignored: a node shares its GPUs in one way; remove one";
            self.warning(&key.location, "sharing.timeSlicing", message);
        }
        if let Some(mps) = sharing.get(plugin::MPS)
            && let Some(strategy) = root.at("flags.migStrategy")
            && strategy.text() == Some("mixed")
        {
            let message = format!(
                "the plugin ends with \"using --mig-strategy=mixed is not supported with MPS\" (sharing.mps at {}); write none here, and keep MIG for configurations of other nodes",
                mps.location
            );
            self.error(&strategy.location, "flags.migStrategy", message);
        }
    }

    fn flags(&mut self, root: &Value) {
        const VALUES: [(&str, &[&str]); 4] = [
            ("flags.migStrategy", &["none", "single", "mixed"]),
            ("flags.deviceDiscoveryStrategy", &["auto", "nvml", "tegra"]),
            ("flags.plugin.deviceIDStrategy", &plugin::DEVICE_ID_STRATEGIES),
            (
                "flags.plugin.sharedDevicesAllocationPolicy",
                &plugin::ALLOCATION_POLICIES,
            ),
        ];
        for (path, known) in VALUES {
            if let Some(value) = root.at(path)
                && value.text().is_none_or(|text| !known.contains(&text))
            {
                let message = format!("{} is refused; write {}", value.quoted(), known.join(" or "));
                self.error(&value.location, path, message);
            }
        }
        let path = "flags.plugin.deviceListStrategy";
        if let Some(value) = root.at(path) {
            for one in if value.items().is_empty() {
                std::slice::from_ref(value)
            } else {
                value.items()
            } {
                if one
                    .text()
                    .is_none_or(|text| !plugin::DEVICE_LIST_STRATEGIES.contains(&text))
                {
                    let message = format!(
                        "{} is refused; write {}, or a list of them",
                        one.quoted(),
                        plugin::DEVICE_LIST_STRATEGIES.join(" or ")
                    );
                    self.error(&one.location, path, message);
                }
            }
        }
    }

    fn method(&mut self, method: Method<'_>) {
        let path = format!("sharing.{}", method.name);
        let renames = method.value.get(plugin::RENAME_BY_DEFAULT).and_then(Value::flag) == Some(true);
        let Some(resources) = method
            .value
            .get(plugin::RESOURCES)
            .filter(|list| !list.items().is_empty())
        else {
            let message =
                "the plugin refuses it without resources; list one, such as {name: nvidia.com/gpu, replicas: 4}";
            self.error(&method.value.location, &format!("{path}.resources"), message);
            return;
        };
        for (at, item) in resources.items().iter().enumerate() {
            self.resource(item, method, renames, &format!("{path}.resources[{at}]"));
        }
    }

    fn resource(&mut self, item: &Value, method: Method<'_>, renames: bool, path: &str) {
        match item.get("name").map(|name| (name, name.text())) {
            None => self.error(
                &item.location,
                path,
                "the plugin refuses it without a name; write name: nvidia.com/gpu",
            ),
            Some((name, None)) => {
                let message = format!("{} is no name; write nvidia.com/gpu", name.quoted());
                self.error(&name.location, &format!("{path}.name"), message);
            }
            Some((name, Some(text))) => self.name(name, text, method, path),
        }
        match item.get("replicas") {
            None => self.error(
                &item.location,
                path,
                "the plugin refuses it without replicas; write replicas: 4, or as many as you want",
            ),
            Some(replicas) => self.replicas(replicas, method, path),
        }
        if let Some((key, rename)) = item.entry("rename") {
            let name = item.get("name").and_then(Value::text).unwrap_or_default();
            if !(renames && rename.text() == Some(&format!("{}.shared", with_domain(name)))) {
                let message = "the plugin drops it, with a line in its log; for the name with .shared write renameByDefault: true beside resources, other names there are none";
                self.warning(&key.location, &format!("{path}.rename"), message);
            }
        }
        if let Some((key, devices)) = item.entry("devices")
            && devices.text() != Some("all")
        {
            let path = format!("{path}.devices");
            if matches!(devices.content, Content::Text(_) | Content::Map(_) | Content::Bool(_)) {
                let message = format!("{} is refused; remove it: all devices are shared", devices.quoted());
                self.error(&devices.location, &path, message);
            } else {
                let message = "the plugin drops it, with a line in its log, and shares all devices; remove it, and give GPUs that are not shared a node of their own";
                self.warning(&key.location, &path, message);
            }
        }
    }

    fn name(&mut self, name: &Value, text: &str, method: Method<'_>, path: &str) {
        let path = format!("{path}.name");
        let whole = with_domain(text);
        if whole.len() > LONGEST_NAME {
            let message = format!(
                "`{whole}` has {} characters; the plugin refuses more than {LONGEST_NAME}",
                whole.len()
            );
            self.error(&name.location, &path, message);
            return;
        }
        match whole.parse::<GpuResource>() {
            Ok(GpuResource::Gpu) => {}
            Ok(GpuResource::Mig(_)) if method.name == plugin::MPS => {
                let message =
                    "the plugin does not start with MPS on MIG devices; share them by timeSlicing, or remove it";
                self.error(&name.location, &path, message);
            }
            Ok(GpuResource::Mig(profile)) => {
                let strategy = self.configuration.root.at("flags.migStrategy").and_then(Value::text);
                if let Some(strategy) = strategy.filter(|strategy| *strategy != "mixed") {
                    let message = format!(
                        "under migStrategy {strategy} there is no resource for {profile}, so nothing is shared; write migStrategy: mixed, or name: nvidia.com/gpu"
                    );
                    self.warning(&name.location, &path, message);
                }
            }
            Ok(GpuResource::GpuShared | GpuResource::MigShared(_)) => {
                let message = "names what sharing makes, not what is shared; write it without .shared, and renameByDefault: true beside resources";
                self.warning(&name.location, &path, message);
            }
            Err(error) => {
                let gpu = GpuResource::Gpu.to_string();
                let near = spelling::nearest(&whole, [gpu.as_str()]);
                let help = near.map_or_else(|| error.to_string(), |near| format!("did you mean {near}?"));
                let message = format!("`{text}` is no resource of the plugin, so nothing is shared; {help}");
                self.warning(&name.location, &path, message);
            }
        }
    }

    fn replicas(&mut self, replicas: &Value, method: Method<'_>, path: &str) {
        let path = format!("{path}.replicas");
        let Some(count) = replicas.whole() else {
            let message = format!("{} is no whole number; the plugin refuses it", replicas.quoted());
            self.error(&replicas.location, &path, message);
            return;
        };
        if count < FEWEST_REPLICAS {
            let message = format!(
                "{count}: the plugin refuses less than {FEWEST_REPLICAS}; write {FEWEST_REPLICAS} or more, or leave sharing out"
            );
            self.error(&replicas.location, &path, message);
        } else if method.name == plugin::MPS && count > MOST_MPS_REPLICAS {
            let message = format!(
                "{count}: the MPS daemon takes at most {MOST_MPS_REPLICAS} shares of a GPU and stops at more; write {MOST_MPS_REPLICAS} or less"
            );
            self.error(&replicas.location, &path, message);
        } else if method.name == plugin::MPS && count > MOST_MPS_REPLICAS_BEFORE_TURING {
            let message = format!(
                "{count}: on V100 and older GPUs the MPS daemon stops at more than {MOST_MPS_REPLICAS_BEFORE_TURING}; write {MOST_MPS_REPLICAS_BEFORE_TURING} or less if a node has such"
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

/// What to say of a key that is passed over.
fn ignored(key: &Unknown) -> String {
    let memory = key.key.to_ascii_lowercase().contains("mem");
    if memory && key.path.starts_with("sharing.mps") {
        return "the plugin has no such key and passes over it without a word: under MPS a process gets at most the GPU's memory divided by replicas; remove it, and choose replicas for the memory that you want".to_owned();
    }
    if memory && key.path.starts_with("sharing.") {
        return "the plugin has no such key and passes over it without a word: time slices share all of the GPU's memory; remove it, or use mps or MIG, which divide it".to_owned();
    }
    format!(
        "the plugin has no such key here and passes over it without a word; {}",
        key.help
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::source::Sources;

    fn found(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        sources.add("c.yaml", text).unwrap();
        sources
            .plugins()
            .flat_map(lint)
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn good_ones_are_left_alone() {
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
    fn each_mistake_is_named_with_its_place_and_its_remedy() {
        let mps = |resource: &str| format!("version: v1\nsharing:\n  mps:\n    resources:\n    - {resource}\n");
        let slices =
            |resource: &str| format!("version: v1\nsharing:\n  timeSlicing:\n    resources:\n    - {resource}\n");
        for (text, place, words) in [
            ("version: v2\nflags: {}\n".to_owned(), "c.yaml:1:10: error", "write v1"),
            (
                "version: v1\nflags:\n  renameByDefault: true\n".to_owned(),
                "c.yaml:3:3: warning: flags.renameByDefault",
                "passes over it without a word; it belongs in sharing.timeSlicing or sharing.mps",
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
                "drops it",
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
            (mps("{name: nvidia.com/gpu, replicas: 1}"), "c.yaml:5:40: error", "refuses less than 2"),
            (mps("{name: nvidia.com/gpu, replicas: 49}"), "c.yaml:5:40: error", "at most 48"),
            (mps("{name: nvidia.com/gpu, replicas: 17}"), "c.yaml:5:40: warning", "at more than 16"),
            (mps("{name: nvidia.com/gpu, replicas: '4'}"), "c.yaml:5:40: error", "no whole number"),
            (mps("{replicas: 4}"), "c.yaml:5:7: error", "without a name"),
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
                "there is no resource for 1g.5gb",
            ),
            (
                "version: v1\nflags: {migStrategy: mixed}\nsharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 2}]}}\n".to_owned(),
                "c.yaml:2:22: error",
                "is not supported with MPS",
            ),
            (
                "version: v1\nsharing:\n  timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 2}]}\n  mps: {resources: [{name: nvidia.com/gpu, replicas: 2}]}\n".to_owned(),
                "c.yaml:3:3: warning",
                "wins, so this is ignored",
            ),
        ] {
            let found = found(&text);
            assert!(
                found.iter().any(|line| line.starts_with(place) && line.contains(words)),
                "{text}\n{found:#?}"
            );
            assert!(found.len() <= 2, "{text}\n{found:#?}");
        }
    }
}
