//! Files given to the linter, recognized by their contents.

use super::config_map::{ConfigMap, Configuration, FileKind, add_configurations, config_map, file_kind};
use super::helm::{self, SetError};
use super::shell;
use crate::yaml::{self, LocatedValue};
use apportion_core::diagnostics::{Finding, Location};

/// What the given files and settings contain.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub(super) config_maps: Vec<ConfigMap>,
    /// The GPU Operator's values; later documents override earlier ones, as with helm.
    pub(super) values: Vec<LocatedValue>,
    /// The values come from a `ClusterPolicy`, so the chart's defaults do not apply.
    pub(super) is_cluster_policy: bool,
    /// The namespace of the operator's release.
    pub(super) operator_namespace: String,
}

impl Sources {
    pub fn new(operator_namespace: &str) -> Self {
        Sources {
            operator_namespace: operator_namespace.to_owned(),
            ..Sources::default()
        }
    }

    /// The operator's value at a path.
    pub(super) fn value(&self, path: &str) -> Option<&LocatedValue> {
        self.values.iter().rev().find_map(|root| root.get_path(path))
    }

    /// The operator's value at a path, if it is a string and not empty.
    pub(super) fn string_value(&self, path: &str) -> Option<(&str, &LocatedValue)> {
        let value = self.value(path)?;
        value.as_str().filter(|text| !text.is_empty()).map(|text| (text, value))
    }

    pub(super) fn device_plugin_configs(&self) -> impl Iterator<Item = &Configuration> {
        self.config_maps.iter().flat_map(|map| &map.device_plugin)
    }

    pub(super) fn mig_parted_configs(&self) -> impl Iterator<Item = &Configuration> {
        self.config_maps.iter().flat_map(|map| &map.mig_parted)
    }

    /// Adds a file: a shell script (`.sh`, `.bash` or a shebang), Markdown (`.md`), or YAML.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), Vec<Finding>> {
        let has_extension = |known: &[&str]| {
            let extension = std::path::Path::new(file).extension();
            extension.is_some_and(|extension| known.iter().any(|known| extension == *known))
        };
        if has_extension(&["sh", "bash"]) || text.starts_with("#!") {
            self.add_commands(file, &shell::script_commands(text))
        } else if has_extension(&["md"]) {
            self.add_commands(file, &shell::markdown_commands(text))
        } else {
            self.add_yaml(file, text)
        }
    }

    fn add_yaml(&mut self, file: &str, text: &str) -> Result<(), Vec<Finding>> {
        let documents = yaml::parse(file, text).map_err(|finding| vec![finding])?;
        let mut findings = Vec::new();
        let mut recognized = 0;
        for document in documents {
            let is_list = document.get("kind").and_then(LocatedValue::as_str) == Some("List");
            let items = document
                .get("items")
                .filter(|_| is_list)
                .map_or(&[][..], LocatedValue::items);
            for object in if is_list {
                items
            } else {
                std::slice::from_ref(&document)
            } {
                recognized += usize::from(self.add_object(object, text, &mut findings));
            }
        }
        if recognized == 0 && findings.is_empty() {
            let message = "contains nothing that lint checks; lint checks configurations of NVIDIA's device plugin and mig-parted, alone or in a ConfigMap, values of the GPU Operator, and sharing plans (GpuSharingPlan)";
            findings.push(Finding::error(Location::file(file), "", message));
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Adds the settings and the namespace of every `helm install` or `helm upgrade` of the GPU
    /// Operator.
    fn add_commands(&mut self, file: &str, commands: &[Vec<shell::Word>]) -> Result<(), Vec<Finding>> {
        let mut findings = Vec::new();
        let releases = helm::releases(commands);
        if releases.is_empty() {
            let message = "contains no helm command that installs the GPU Operator";
            return Err(vec![Finding::error(Location::file(file), "", message)]);
        }
        for release in releases {
            if let Some(namespace) = release.namespace {
                self.operator_namespace = namespace;
            }
            for setting in release.set {
                let location = Location {
                    file: file.into(),
                    line: setting.line,
                    column: setting.column,
                };
                match helm::parse_set(&setting.text, |_| location.clone()) {
                    Ok(documents) => self.values.extend(documents),
                    Err(error) => findings.push(Finding::error(location, "--set", error.to_string())),
                }
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Adds the argument of a `--set`.
    pub fn set(&mut self, argument: &str) -> Result<(), SetError> {
        let documents = helm::parse_set(argument, |setting| Location::file(&format!("--set {setting}")))?;
        self.values.extend(documents);
        Ok(())
    }

    /// Returns whether the object is recognized.
    fn add_object(&mut self, object: &LocatedValue, text: &str, findings: &mut Vec<Finding>) -> bool {
        let kind = object.get("kind").and_then(LocatedValue::as_str);
        if kind == Some("ConfigMap") {
            let map = config_map(object, text, findings);
            let recognized = !map.device_plugin.is_empty() || !map.mig_parted.is_empty();
            self.config_maps.extend(recognized.then_some(map));
            return recognized;
        }
        if kind == Some("ClusterPolicy") {
            // Its spec has the same keys as the values.
            self.values.extend(object.get("spec").cloned());
            self.is_cluster_policy = true;
            return true;
        }
        if kind.is_some() {
            return false;
        }
        let configuration = || {
            vec![Configuration {
                key: String::new(),
                location: object.location.clone(),
                root: object.clone(),
            }]
        };
        let mut map = ConfigMap {
            name: None,
            namespace: None,
            device_plugin: Vec::new(),
            mig_parted: Vec::new(),
        };
        match file_kind(object) {
            Some(FileKind::DevicePlugin) => map.device_plugin = configuration(),
            Some(FileKind::MigParted) => map.mig_parted = configuration(),
            Some(FileKind::OperatorValues) => {
                self.add_values(object.clone(), text, findings);
                return true;
            }
            None => return false,
        }
        self.config_maps.push(map);
        true
    }

    /// Adds values, and the `ConfigMap`s that the chart creates from them.
    fn add_values(&mut self, root: LocatedValue, text: &str, findings: &mut Vec<Finding>) {
        for path in ["devicePlugin.config", "migManager.config"] {
            let Some(config) = root.get_path(path) else { continue };
            let (true, Some(data)) = (
                config.get("create").and_then(LocatedValue::as_bool) == Some(true),
                config.get("data"),
            ) else {
                continue;
            };
            let mut map = ConfigMap {
                name: config.get("name").and_then(LocatedValue::as_str).map(str::to_owned),
                namespace: None,
                device_plugin: Vec::new(),
                mig_parted: Vec::new(),
            };
            add_configurations(&mut map, data, text, findings);
            self.config_maps.push(map);
        }
        self.values.push(root);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Sources {
        let mut sources = Sources::default();
        sources.add("f.yaml", text).unwrap();
        sources
    }

    #[test]
    fn files_are_recognized_by_their_contents() {
        for (text, plugin, mig_parted, values) in [
            ("version: v1\nsharing: {}\n", 1, 0, 0),
            ("version: v1\nflags: {migStrategy: none}\n", 1, 0, 0),
            ("version: v1\nmig-configs: {}\n", 0, 1, 0),
            ("mig: {strategy: mixed}\ndevicePlugin: {}\n", 0, 0, 1),
            ("kind: ClusterPolicy\nspec: {mig: {strategy: mixed}}\n", 0, 0, 1),
            (
                "kind: ConfigMap\ndata:\n  a: |\n    version: v1\n    sharing: {}\n  b: |\n    not: it\n  c: 'x: [' \n",
                1,
                0,
                0,
            ),
            (
                "kind: List\nitems:\n- kind: ConfigMap\n  data:\n    a: |\n      version: v1\n      mig-configs: {}\n",
                0,
                1,
                0,
            ),
            (
                "devicePlugin: {config: {create: true, name: x, data: {a: 'version: v1'}}}\n",
                1,
                0,
                1,
            ),
        ] {
            let sources = sources(text);
            let count = |list: fn(&ConfigMap) -> usize| sources.config_maps.iter().map(list).sum::<usize>();
            assert_eq!(
                (
                    count(|m| m.device_plugin.len()),
                    count(|m| m.mig_parted.len()),
                    sources.values.len()
                ),
                (plugin, mig_parted, values),
                "{text}"
            );
        }
        assert_eq!(sources("version: v1\nsharin: {}\n").device_plugin_configs().count(), 1);
        for text in [
            "version: v1\nsystemd-services: [a]\n",
            "a: b\n",
            "kind: Pod\n",
            "- 1\n",
            "",
        ] {
            assert!(Sources::default().add("f.yaml", text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_override_values_as_with_helm() {
        let mut sources = sources("mig: {strategy: single}\n");
        sources.set("driver.enabled=true,mig.strategy=mixed").unwrap();
        sources.set(r"devicePlugin.config.data.config\.yaml=x").unwrap();
        assert_eq!(sources.string_value("mig.strategy").unwrap().0, "mixed");
        assert_eq!(sources.value("driver.enabled").unwrap().as_bool(), Some(true));
        let data = sources.value("devicePlugin.config.data").unwrap();
        assert_eq!(data.get("config.yaml").unwrap().as_str(), Some("x"));
        assert_eq!(
            data.location.to_string(),
            r"--set devicePlugin.config.data.config\.yaml=x"
        );
        assert!(sources.set("mig.strategy").is_err());
    }

    #[test]
    fn scripts_and_markdown_are_recognized_by_their_names() {
        let command = "helm install op nvidia/gpu-operator --set mig.strategy=mixed\n";
        let fenced = format!("```sh\n{command}```\n");
        let shebang = format!("#!/bin/sh\n{command}");
        for (file, text, accepted) in [
            ("a.sh", command, true),
            ("a.bash", command, true),
            ("install", &shebang, true),
            ("a.md", &fenced, true),
            ("a.md", command, false),
            ("a.txt", command, false),
        ] {
            assert_eq!(Sources::default().add(file, text).is_ok(), accepted, "{file}: {text}");
        }
        let error = Sources::default().add("a.md", command).unwrap_err();
        assert_eq!(
            error[0].to_string(),
            "a.md: error: contains no helm command that installs the GPU Operator"
        );
    }
}
