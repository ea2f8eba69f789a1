//! Keys that the reader of a file does not know.

use crate::schema::Schema;
use crate::yaml::LocatedValue;
use apportion_core::diagnostics::Location;
use apportion_core::diagnostics::spelling;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownKey {
    /// From the root of the file, such as `sharing.mps.resources[0].size`.
    pub(super) path: String,
    pub(super) key: String,
    pub(super) location: Location,
    /// The likely correction.
    pub(super) help: String,
}

/// Every key of `value` that `schema` does not have.
pub(super) fn unknown_keys(value: &LocatedValue, schema: &Schema) -> Vec<UnknownKey> {
    let mut found = Vec::new();
    visit(value, schema, schema, "", &mut found);
    found
}

fn visit(value: &LocatedValue, schema: &Schema, root: &Schema, path: &str, found: &mut Vec<UnknownKey>) {
    match schema {
        Schema::Any => {}
        Schema::Map(inner) => {
            for (key, value) in value.entries() {
                visit(value, inner, root, &join(path, &key.text), found);
            }
        }
        Schema::List(inner) => {
            for (index, item) in value.items().iter().enumerate() {
                visit(item, inner, root, &format!("{path}[{index}]"), found);
            }
        }
        Schema::Object(known) => {
            for (key, value) in value.entries() {
                if let Some((_, inner)) = known.iter().find(|(name, _)| *name == key.text) {
                    visit(value, inner, root, &join(path, &key.text), found);
                } else {
                    found.push(UnknownKey {
                        path: join(path, &key.text),
                        key: key.text.clone(),
                        location: key.location.clone(),
                        help: help(&key.text, known, root),
                    });
                }
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Suggests a key with a similar spelling, else the maps that have this key, else the keys that are
/// known here.
fn help(key: &str, known: &[(&str, Schema)], root: &Schema) -> String {
    if let Some(near) = spelling::nearest(key, known.iter().map(|(name, _)| *name)) {
        return format!("did you mean {near}?");
    }
    let mut parents = Vec::new();
    find_parents(key, root, "", &mut parents);
    if !parents.is_empty() {
        parents.truncate(3);
        return format!("it belongs in {}", parents.join(" or "));
    }
    if known.len() > 8 {
        return "remove it".to_owned();
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    format!("the keys here are {}", names.join(", "))
}

/// Collects the paths of the maps that have a key.
fn find_parents(key: &str, schema: &Schema, path: &str, found: &mut Vec<String>) {
    match schema {
        Schema::Any => {}
        Schema::Map(inner) => find_parents(key, inner, &format!("{path}.<name>"), found),
        Schema::List(inner) => find_parents(key, inner, &format!("{path}[]"), found),
        Schema::Object(known) => {
            for (name, inner) in *known {
                if *name == key && !path.is_empty() {
                    found.push(path.to_owned());
                }
                find_parents(key, inner, &join(path, name), found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DEVICE_PLUGIN;
    use crate::yaml;

    #[test]
    fn unknown_keys_are_reported_with_a_correction() {
        for (text, expected) in [
            (
                "version: v1\nsharing: {mps: {resources: [{name: a, replicas: 2}]}}",
                None,
            ),
            (
                "flags: {migStratgy: none}",
                Some(("flags.migStratgy", "f:1:9", "did you mean migStrategy?")),
            ),
            (
                "flags:\n  renameByDefault: true",
                Some((
                    "flags.renameByDefault",
                    "f:2:3",
                    "it belongs in sharing.timeSlicing or sharing.mps",
                )),
            ),
            (
                "sharing: {mps: {resources: [{name: a, replicas: 2, size: 1}]}}",
                Some((
                    "sharing.mps.resources[0].size",
                    "f:1:52",
                    "the keys here are name, rename, devices, replicas",
                )),
            ),
            (
                "timeSlicing: {}",
                Some(("timeSlicing", "f:1:1", "it belongs in sharing")),
            ),
        ] {
            let value = yaml::parse("f", text).unwrap().remove(0);
            let found = unknown_keys(&value, &DEVICE_PLUGIN);
            let found = found
                .first()
                .map(|u| (u.path.as_str(), u.location.to_string(), u.help.as_str()));
            assert_eq!(
                found
                    .as_ref()
                    .map(|(path, location, help)| (*path, location.as_str(), *help)),
                expected,
                "{text}"
            );
        }
    }
}
