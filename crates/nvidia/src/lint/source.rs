//! Which of NVIDIA's files a text is.

use super::command;
use super::tree::{self, Content, Value};
use crate::file_keys::{DEVICE_PLUGIN, OPERATOR_VALUES, Shape, mig_parted, plugin};
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};

/// A configuration of the device plugin or of mig-parted, in a file of its own or under a key of a `ConfigMap`.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The `ConfigMap`'s key, and the name that labels choose it by; empty in a file of its own.
    pub key: String,
    /// Where it begins.
    pub location: Location,
    /// What it holds.
    pub root: Value,
}

impl Configuration {
    /// A field of it, from the root of the file.
    pub fn field(&self, path: &str) -> String {
        match self.key.as_str() {
            "" => path.to_owned(),
            key => format!("data[{key}] {path}"),
        }
    }
}

/// A `ConfigMap`, real or made by the operator's chart.
#[derive(Clone, Debug)]
pub struct ConfigMap {
    /// Its name; `None` where a file stands for it.
    pub name: Option<String>,
    /// Its namespace and the place of it, where it says so.
    pub namespace: Option<(String, Location)>,
    /// Where it begins.
    pub location: Location,
    /// Its configurations of the device plugin.
    pub plugin: Vec<Configuration>,
    /// Its configurations of mig-parted.
    pub mig_parted: Vec<Configuration>,
}

/// What files hold.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Configurations, as they are kept together.
    pub config_maps: Vec<ConfigMap>,
    /// The GPU Operator's values: files first, then single settings, which win.
    pub values: Vec<Value>,
    /// Whether they came as a `ClusterPolicy`, and not through the chart, which has defaults.
    pub cluster_policy: bool,
    /// The namespace of the operator's release.
    pub operator_namespace: String,
}

impl Sources {
    /// The operator's value at a path; the last one counts.
    pub fn value(&self, path: &str) -> Option<&Value> {
        self.values.iter().rev().find_map(|root| root.at(path))
    }

    /// The text of the operator's value at a path, if it is not empty.
    pub fn word(&self, path: &str) -> Option<(&str, &Value)> {
        let value = self.value(path)?;
        value.text().filter(|text| !text.is_empty()).map(|text| (text, value))
    }

    /// All configurations of the device plugin.
    pub fn plugins(&self) -> impl Iterator<Item = &Configuration> {
        self.config_maps.iter().flat_map(|map| &map.plugin)
    }

    /// Takes in the documents of a file.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), Vec<Finding>> {
        let documents = tree::read(file, text).map_err(|finding| vec![finding])?;
        let mut findings = Vec::new();
        let mut known = 0;
        for document in documents {
            let lists = document.get("kind").and_then(Value::text) == Some("List");
            let items = document.get("items").filter(|_| lists).map_or(&[][..], Value::items);
            for object in if lists { items } else { std::slice::from_ref(&document) } {
                known += usize::from(self.take(object, text, &mut findings));
            }
        }
        if known == 0 && findings.is_empty() {
            let message = "holds nothing that lint knows: no configuration of NVIDIA's device plugin or mig-parted, alone or in a ConfigMap, no values of the GPU Operator, no GpuSharingPlan";
            findings.push(Finding::error(Location::file(file), "", message));
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Takes in the settings and the namespace of every `helm install` or `helm upgrade` of the GPU Operator in a shell script, or in
    /// a text that shows such commands.
    pub fn add_script(&mut self, file: &str, text: &str) -> Result<(), Vec<Finding>> {
        let mut findings = Vec::new();
        let releases = command::releases(text);
        if releases.is_empty() {
            let message = "holds no helm command that installs the GPU Operator";
            return Err(vec![Finding::error(Location::file(file), "", message)]);
        }
        for release in releases {
            let place = |line: u64, column: u64| Location {
                file: file.into(),
                line,
                column,
            };
            self.operator_namespace = release.namespace.unwrap_or_else(|| self.operator_namespace.clone());
            for setting in release.settings {
                let at = place(setting.line, setting.column);
                if let Err(message) = self.set_at(&setting.text, |_| at.clone()) {
                    findings.push(Finding::error(at, "--set", message));
                }
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Whether the object is one of those that are known.
    fn take(&mut self, object: &Value, text: &str, findings: &mut Vec<Finding>) -> bool {
        let kind = object.get("kind").and_then(Value::text);
        if kind == Some("ConfigMap") {
            let map = config_map(object, text, findings);
            let known = !map.plugin.is_empty() || !map.mig_parted.is_empty();
            self.config_maps.extend(known.then_some(map));
            return known;
        }
        if kind == Some("ClusterPolicy") {
            // Its spec has the names of the values.
            self.values.extend(object.get("spec").cloned());
            self.cluster_policy = true;
            return true;
        }
        if kind.is_some() {
            return false;
        }
        let alone = |root: &Value| Configuration {
            key: String::new(),
            location: root.location.clone(),
            root: root.clone(),
        };
        let mut map = ConfigMap {
            name: None,
            namespace: None,
            location: object.location.clone(),
            plugin: Vec::new(),
            mig_parted: Vec::new(),
        };
        match nature(object) {
            Some(Nature::Plugin) => map.plugin.push(alone(object)),
            Some(Nature::MigParted) => map.mig_parted.push(alone(object)),
            Some(Nature::Values) => {
                self.add_values(object.clone(), text, findings);
                return true;
            }
            None => return false,
        }
        self.config_maps.push(map);
        true
    }

    /// Values, and the `ConfigMap`s that the chart makes of them.
    fn add_values(&mut self, root: Value, text: &str, findings: &mut Vec<Finding>) {
        for path in ["devicePlugin.config", "migManager.config"] {
            let Some(config) = root.at(path) else { continue };
            let (true, Some(data)) = (
                config.get("create").and_then(Value::flag) == Some(true),
                config.get("data"),
            ) else {
                continue;
            };
            let mut map = ConfigMap {
                name: config.get("name").and_then(Value::text).map(str::to_owned),
                namespace: None,
                location: data.location.clone(),
                plugin: Vec::new(),
                mig_parted: Vec::new(),
            };
            fill(&mut map, data, text, findings);
            self.config_maps.push(map);
        }
        self.values.push(root);
    }

    /// Takes in a setting as `helm --set` takes it: `a.b=c`, several with commas between them.
    pub fn set(&mut self, argument: &str) -> Result<(), String> {
        self.set_at(argument, |part| Location::file(&format!("--set {part}")))
    }

    /// The same, with the place of each.
    fn set_at(&mut self, argument: &str, place: impl Fn(&str) -> Location) -> Result<(), String> {
        for part in split(argument, ',') {
            let Some((path, text)) = part.split_once('=') else {
                return Err(format!(
                    "`{part}` is no setting; write it as helm takes it, such as mig.strategy=mixed"
                ));
            };
            let location = place(&part);
            let content = match text {
                "true" => Content::Bool(true),
                "false" => Content::Bool(false),
                "null" => Content::Null,
                text => text
                    .parse()
                    .map_or_else(|_| Content::Text(unescaped(text)), Content::Whole),
            };
            let mut value = Value {
                location: location.clone(),
                content,
            };
            for key in split(path, '.').iter().rev() {
                let key = tree::Key {
                    text: unescaped(key),
                    location: location.clone(),
                };
                value = Value {
                    location: location.clone(),
                    content: Content::Map(vec![(key, value)]),
                };
            }
            self.values.push(value);
        }
        Ok(())
    }
}

/// A text in parts, at every separator that no backslash stands before.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn unescaped(text: &str) -> String {
    text.replace('\\', "")
}

/// What a document without a kind is.
enum Nature {
    Plugin,
    MigParted,
    Values,
}

fn nature(root: &Value) -> Option<Nature> {
    if root.get(mig_parted::CONFIGS).is_some() {
        return Some(Nature::MigParted);
    }
    let keys = |shape: &Shape| match shape {
        Shape::Keys(known) => root
            .entries()
            .iter()
            .filter(|(key, _)| known.iter().any(|(name, _)| *name == key.text))
            .count(),
        _ => 0,
    };
    let (plugins, values) = (keys(&DEVICE_PLUGIN), keys(&OPERATOR_VALUES));
    let has = |key: &str| root.get(key).is_some();
    let telling = [plugin::FLAGS, plugin::SHARING, plugin::RESOURCES].into_iter();
    let misspelt = |(key, _): &(tree::Key, Value)| spelling::nearest(&key.text, telling.clone()).is_some();
    // Others have a version, too, such as the MIG manager's list of clients.
    let own = telling.clone().any(has) || root.entries().iter().any(misspelt) || root.entries().len() == plugins;
    if values > plugins {
        Some(Nature::Values)
    } else if plugins > 0 && own {
        Some(Nature::Plugin)
    } else {
        None
    }
}

fn config_map(object: &Value, text: &str, findings: &mut Vec<Finding>) -> ConfigMap {
    let metadata = |key: &str| object.at(&format!("metadata.{key}"));
    let mut map = ConfigMap {
        name: metadata("name").and_then(Value::text).map(str::to_owned),
        namespace: metadata("namespace").and_then(|value| Some((value.text()?.to_owned(), value.location.clone()))),
        location: object.location.clone(),
        plugin: Vec::new(),
        mig_parted: Vec::new(),
    };
    if let Some(data) = object.get("data") {
        fill(&mut map, data, text, findings);
    }
    map
}

/// The configurations among the values of a `data`.
fn fill(map: &mut ConfigMap, data: &Value, text: &str, findings: &mut Vec<Finding>) {
    for (key, value) in data.entries() {
        let Some(inner) = value.text() else { continue };
        let (place, indent) = within(&value.location, inner, text);
        let roots = match tree::read_at(&place, indent, inner) {
            Ok(roots) => roots,
            // Other ConfigMaps hold other things, which need not be YAML.
            Err(_) if !inner.contains(plugin::SHARING) && !inner.contains(mig_parted::CONFIGS) => continue,
            Err(mut finding) => {
                finding.field = format!("data[{}]", key.text);
                findings.push(finding);
                continue;
            }
        };
        for root in roots {
            let list = match nature(&root) {
                Some(Nature::Plugin) => &mut map.plugin,
                Some(Nature::MigParted) => &mut map.mig_parted,
                _ => continue,
            };
            list.push(Configuration {
                key: key.text.clone(),
                location: key.location.clone(),
                root,
            });
        }
    }
}

/// Where the text of a block scalar stands in its file: the line above its first, and how far it is indented. Of a text that is
/// written in another way, only the line is known.
fn within(value: &Location, inner: &str, text: &str) -> (Location, u64) {
    let mut place = value.clone();
    place.line = value.line.saturating_sub(1);
    // The parser gives the first line that is not empty.
    let empty = inner.lines().take_while(|line| line.trim().is_empty()).count();
    let first = inner.lines().nth(empty).unwrap_or_default();
    let there = usize::try_from(place.line).ok().and_then(|line| text.lines().nth(line));
    if let Some(indent) = there.and_then(|there| there.strip_suffix(first))
        && !indent.is_empty()
        && indent.bytes().all(|b| b == b' ')
    {
        place.line = place.line.saturating_sub(empty as u64);
        return (place, indent.len() as u64);
    }
    (place, value.column.saturating_sub(1))
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
    fn files_are_known_by_what_they_hold() {
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
                    count(|m| m.plugin.len()),
                    count(|m| m.mig_parted.len()),
                    sources.values.len()
                ),
                (plugin, mig_parted, values),
                "{text}"
            );
        }
        assert_eq!(sources("version: v1\nsharin: {}\n").plugins().count(), 1);
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
    fn places_in_a_config_map_are_those_of_the_file() {
        let text = "kind: ConfigMap\ndata:\n  a: |\n\n    version: v1\n    sharing: {}\n  b: |-\n   # why\n   version: v1\n   flags: {}\n  c: \"version: v1\"\n";
        let sources = sources(text);
        let places: Vec<String> = sources
            .plugins()
            .map(|c| c.root.entries().last().unwrap().0.location.to_string())
            .collect();
        assert_eq!(places, ["f.yaml:6:5", "f.yaml:10:4", "f.yaml:11:6"]);
    }

    #[test]
    fn settings_are_read_as_helm_reads_them() {
        let mut sources = sources("mig: {strategy: single}\n");
        sources.set("driver.enabled=true,mig.strategy=mixed").unwrap();
        sources.set(r"devicePlugin.config.data.config\.yaml=x").unwrap();
        assert_eq!(sources.word("mig.strategy").unwrap().0, "mixed");
        assert_eq!(sources.value("driver.enabled").unwrap().flag(), Some(true));
        let data = sources.value("devicePlugin.config.data").unwrap();
        assert_eq!(data.get("config.yaml").unwrap().text(), Some("x"));
        assert_eq!(
            data.location.to_string(),
            r"--set devicePlugin.config.data.config\.yaml=x"
        );
        assert!(sources.set("mig.strategy").is_err());
    }
}
