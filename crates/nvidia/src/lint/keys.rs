//! Keys that the reader of a file does not know.

use super::tree::Value;
use crate::file_keys::Shape;
use apportion_core::diagnostics::Location;
use apportion_core::diagnostics::spelling;

/// A key that its reader does not know.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its path from the root of the file.
    pub path: String,
    /// The key.
    pub key: String,
    /// Where it stands.
    pub location: Location,
    /// What may have been meant.
    pub help: String,
}

/// Every key below `value` that `shape` has no place for.
pub fn unknown(value: &Value, shape: &Shape) -> Vec<Unknown> {
    let mut found = Vec::new();
    walk(value, shape, shape, "", &mut found);
    found
}

fn walk(value: &Value, shape: &Shape, root: &Shape, path: &str, found: &mut Vec<Unknown>) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match shape {
        Shape::Any => {}
        Shape::Named(inner) => {
            for (key, value) in value.entries() {
                walk(value, inner, root, &below(&key.text), found);
            }
        }
        Shape::List(inner) => {
            for (at, item) in value.items().iter().enumerate() {
                walk(item, inner, root, &format!("{path}[{at}]"), found);
            }
        }
        Shape::Keys(known) => {
            for (key, value) in value.entries() {
                if let Some((_, inner)) = known.iter().find(|(name, _)| *name == key.text) {
                    walk(value, inner, root, &below(&key.text), found);
                } else {
                    found.push(Unknown {
                        path: below(&key.text),
                        key: key.text.clone(),
                        location: key.location.clone(),
                        help: help(&key.text, known, root),
                    });
                }
            }
        }
    }
}

/// A key of this place that is spelled alike, else a place where this very key is read, else the keys of this place.
fn help(key: &str, known: &[(&str, Shape)], root: &Shape) -> String {
    if let Some(near) = spelling::nearest(key, known.iter().map(|(name, _)| *name)) {
        return format!("did you mean {near}?");
    }
    let mut homes = Vec::new();
    places(key, root, "", &mut homes);
    if !homes.is_empty() {
        homes.truncate(3);
        return format!("it belongs in {}", homes.join(" or "));
    }
    if known.len() > 8 {
        return "remove it".to_owned();
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    format!("the keys here are {}", names.join(", "))
}

/// The paths of the maps that know a key.
fn places(key: &str, shape: &Shape, path: &str, found: &mut Vec<String>) {
    match shape {
        Shape::Any => {}
        Shape::Named(inner) => places(key, inner, &format!("{path}.<name>"), found),
        Shape::List(inner) => places(key, inner, &format!("{path}[]"), found),
        Shape::Keys(known) => {
            for (name, inner) in *known {
                if *name == key && !path.is_empty() {
                    found.push(path.to_owned());
                }
                let below = if path.is_empty() {
                    (*name).to_owned()
                } else {
                    format!("{path}.{name}")
                };
                places(key, inner, &below, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_keys::DEVICE_PLUGIN;
    use crate::lint::tree;

    #[test]
    fn unknown_keys_are_found_with_help() {
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
            let value = tree::read("f", text).unwrap().remove(0);
            let found = unknown(&value, &DEVICE_PLUGIN);
            let found = found
                .first()
                .map(|u| (u.path.as_str(), u.location.to_string(), u.help.as_str()));
            assert_eq!(
                found.as_ref().map(|(path, place, help)| (*path, place.as_str(), *help)),
                expected,
                "{text}"
            );
        }
    }
}
