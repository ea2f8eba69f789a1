//! The shape of the source: which way modules depend on each other, and that every file belongs to one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the bottom up. A module may name those above it in this list, and itself.
const LAYERS: &[&str] = &[
    "object",
    "gpu",
    "inventory",
    "policy",
    "decision",
    "rewrite",
    "admission",
    "extender",
    "plan",
    "lint",
    "audit",
    "prometheus",
    "tls",
    "server",
    "service",
    "cluster",
    "cli",
];
/// Layers of one height, which do not name each other although the list has them in an order.
const STRANGERS: &[(&str, &str)] = &[
    ("policy", "inventory"),
    ("extender", "admission"),
    ("extender", "rewrite"),
    ("plan", "decision"),
    ("plan", "admission"),
    ("plan", "extender"),
    ("tls", "decision"),
    ("server", "decision"),
];
/// Modules that take values and give values.
const PURE: &[&str] = &[
    "object",
    "gpu",
    "inventory",
    "policy",
    "decision",
    "rewrite",
    "admission",
    "extender",
    "plan",
    "lint",
    "audit",
];
/// What pure modules do not touch: the world, and whoever does.
const IMPURE: &[&str] = &[
    "tokio",
    "axum",
    "hyper",
    "kube::",
    "rustls",
    "tracing",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "println!",
    "eprintln!",
    "Mutex",
    "RwLock",
];
/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "manager", "misc", "types",
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    assert!(found.len() > 50, "the walk found only {} files", found.len());
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The module directly under the crate that a file belongs to.
fn layer(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap();
    inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The code without its comments and without its tests, which may look around more freely.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn modules_depend_downwards_only() {
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    for (path, text) in sources() {
        let own = layer(&path);
        if own == "lib" || own == "main" {
            continue;
        }
        let height = rank(&own).unwrap_or_else(|| panic!("{own} has no place in LAYERS"));
        for part in code(&text).split("crate::").skip(1) {
            let named: String = part
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            let Some(other) = rank(&named) else {
                panic!("{} names crate::{named}, which has no place", path.display())
            };
            let strangers = STRANGERS.iter().any(|(a, b)| *a == own && *b == named);
            assert!(
                other <= height && !strangers,
                "{} ({own}) names crate::{named}",
                path.display()
            );
        }
    }
}

#[test]
fn pure_modules_touch_nothing_outside() {
    for (path, text) in sources()
        .into_iter()
        .filter(|(path, _)| PURE.contains(&layer(path).as_str()))
    {
        for word in IMPURE {
            assert!(
                !code(&text).contains(word),
                "{} is pure, and names {word}",
                path.display()
            );
        }
    }
}

#[test]
fn every_file_is_declared_by_a_module() {
    let files: BTreeSet<PathBuf> = sources().into_iter().map(|(path, _)| path).collect();
    let mut reached: BTreeSet<PathBuf> = [root().join("lib.rs"), root().join("main.rs")].into();
    let mut open: Vec<PathBuf> = reached.iter().cloned().collect();
    while let Some(path) = open.pop() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let home = match name.as_str() {
            "lib" | "main" | "mod" => path.parent().unwrap().to_path_buf(),
            _ => path.with_extension(""),
        };
        for line in fs::read_to_string(&path).unwrap().lines() {
            let declared = line
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ");
            let Some(module) = declared.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) else {
                continue;
            };
            let file = [home.join(format!("{module}.rs")), home.join(module).join("mod.rs")]
                .into_iter()
                .find(|file| files.contains(file))
                .unwrap_or_else(|| panic!("{} declares {module}, which is nowhere", path.display()));
            if reached.insert(file.clone()) {
                open.push(file);
            }
        }
    }
    let orphans: Vec<_> = files.difference(&reached).collect();
    assert!(
        orphans.is_empty(),
        "no module declares {orphans:?}: their tests never run"
    );
}

#[test]
fn nvidias_names_stand_in_one_place() {
    for (path, text) in sources().into_iter().filter(|(path, _)| layer(path) != "gpu") {
        // `///` on a flag is help for people and may name what they type.
        let found = code(&text)
            .lines()
            .find(|line| line.contains("\"nvidia.com/"))
            .map(str::to_owned);
        assert!(
            found.is_none(),
            "{} spells {found:?}; gpu::names has it",
            path.display()
        );
    }
}

#[test]
fn files_are_named_for_what_they_hold_and_hold_one_thing() {
    for (path, text) in sources() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!EMPTY_NAMES.contains(&name.as_str()), "{} says nothing", path.display());
        let lines = text.split("#[cfg(test)]").next().unwrap().lines().count();
        assert!(
            lines <= 420,
            "{} has {lines} lines without its tests: it holds two things",
            path.display()
        );
        assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
    }
}
