//! Configurations of the device plugin and mig-parted in `ConfigMap`s and in files.

use crate::file_keys::{device_plugin, mig_parted};
use crate::schema::{DEVICE_PLUGIN, OPERATOR_VALUES, Schema};
use crate::yaml::{self, LocatedKey, LocatedValue};
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};

/// A configuration of the device plugin or of mig-parted: a file, or the value of a key in a
/// `ConfigMap`.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    /// The key in the `ConfigMap`, by which node labels select the configuration; empty for a file.
    pub(super) key: String,
    pub(super) location: Location,
    pub(super) root: LocatedValue,
}

impl Configuration {
    /// The `field` of a finding at a path of this configuration.
    pub(super) fn field(&self, path: &str) -> String {
        match self.key.as_str() {
            "" => path.to_owned(),
            key => format!("data[{key}] {path}"),
        }
    }
}

/// A `ConfigMap`: an object, the data from which the operator's chart creates one, or a file that
/// may become one.
#[derive(Clone, Debug)]
pub(super) struct ConfigMap {
    /// `None` for a file.
    pub(super) name: Option<String>,
    /// With the location of the field; `None` if not set.
    pub(super) namespace: Option<(String, Location)>,
    pub(super) device_plugin: Vec<Configuration>,
    pub(super) mig_parted: Vec<Configuration>,
}

/// The contents of a document without a `kind`.
pub(super) enum FileKind {
    DevicePlugin,
    MigParted,
    OperatorValues,
}

pub(super) fn file_kind(root: &LocatedValue) -> Option<FileKind> {
    if root.get(mig_parted::CONFIGS).is_some() {
        return Some(FileKind::MigParted);
    }
    let known_keys = |schema: &Schema| match schema {
        Schema::Object(known) => root
            .entries()
            .iter()
            .filter(|(key, _)| known.iter().any(|(name, _)| *name == key.text))
            .count(),
        _ => 0,
    };
    let (plugin_keys, value_keys) = (known_keys(&DEVICE_PLUGIN), known_keys(&OPERATOR_VALUES));
    // Other files have a version as well, such as the MIG manager's list of clients, so `version`
    // alone decides only in a file without other keys.
    let distinctive = [device_plugin::FLAGS, device_plugin::SHARING, device_plugin::RESOURCES];
    let is_near_distinctive =
        |(key, _): &(LocatedKey, LocatedValue)| spelling::nearest(&key.text, distinctive).is_some();
    let is_plugin = distinctive.iter().any(|key| root.get(key).is_some())
        || root.entries().iter().any(is_near_distinctive)
        || root.entries().len() == plugin_keys;
    if value_keys > plugin_keys {
        Some(FileKind::OperatorValues)
    } else if plugin_keys > 0 && is_plugin {
        Some(FileKind::DevicePlugin)
    } else {
        None
    }
}

pub(super) fn config_map(object: &LocatedValue, text: &str, findings: &mut Vec<Finding>) -> ConfigMap {
    let metadata = |key: &str| object.get_path(&format!("metadata.{key}"));
    let mut map = ConfigMap {
        name: metadata("name").and_then(LocatedValue::as_str).map(str::to_owned),
        namespace: metadata("namespace").and_then(|value| Some((value.as_str()?.to_owned(), value.location.clone()))),
        device_plugin: Vec::new(),
        mig_parted: Vec::new(),
    };
    if let Some(data) = object.get("data") {
        add_configurations(&mut map, data, text, findings);
    }
    map
}

/// Adds the configurations among the values of a `data`.
pub(super) fn add_configurations(map: &mut ConfigMap, data: &LocatedValue, text: &str, findings: &mut Vec<Finding>) {
    for (key, value) in data.entries() {
        let Some(inner) = value.as_str() else { continue };
        let (origin, indent) = embedded_origin(&value.location, inner, text);
        let roots = match yaml::parse_embedded(&origin, indent, inner) {
            Ok(roots) => roots,
            // ConfigMaps of other components need not contain YAML.
            Err(_) if !inner.contains(device_plugin::SHARING) && !inner.contains(mig_parted::CONFIGS) => continue,
            Err(mut finding) => {
                finding.field = format!("data[{}]", key.text);
                findings.push(finding);
                continue;
            }
        };
        for root in roots {
            let list = match file_kind(&root) {
                Some(FileKind::DevicePlugin) => &mut map.device_plugin,
                Some(FileKind::MigParted) => &mut map.mig_parted,
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

/// The line above the text of a block scalar, and the indentation of the text. For other scalars
/// only the line is exact.
fn embedded_origin(value: &Location, inner: &str, text: &str) -> (Location, u64) {
    let mut origin = value.clone();
    origin.line = value.line.saturating_sub(1);
    // The parser reports the first line that is not empty.
    let empty = inner.lines().take_while(|line| line.trim().is_empty()).count();
    let first = inner.lines().nth(empty).unwrap_or_default();
    let source_line = usize::try_from(origin.line)
        .ok()
        .and_then(|line| text.lines().nth(line));
    if let Some(indent) = source_line.and_then(|line| line.strip_suffix(first))
        && !indent.is_empty()
        && indent.bytes().all(|b| b == b' ')
    {
        origin.line = origin.line.saturating_sub(empty as u64);
        return (origin, indent.len() as u64);
    }
    (origin, value.column.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_in_a_config_map_are_those_of_the_file() {
        let text = "kind: ConfigMap\ndata:\n  a: |\n\n    version: v1\n    sharing: {}\n  b: |-\n   # why\n   version: v1\n   flags: {}\n  c: \"version: v1\"\n";
        let document = yaml::parse("f.yaml", text).unwrap().remove(0);
        let map = config_map(&document, text, &mut Vec::new());
        let locations: Vec<String> = map
            .device_plugin
            .iter()
            .map(|c| c.root.entries().last().unwrap().0.location.to_string())
            .collect();
        assert_eq!(locations, ["f.yaml:6:5", "f.yaml:10:4", "f.yaml:11:6"]);
    }
}
