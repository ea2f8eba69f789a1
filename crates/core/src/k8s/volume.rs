//! `hostPath` volumes, mounts, and comparison of paths.

use serde::Deserialize;

use super::text::{Text, null_as_default};

/// A `v1.Volume`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume<'a> {
    #[serde(default, borrow)]
    pub host_path: Option<HostPathVolumeSource<'a>>,
}

/// A `v1.HostPathVolumeSource`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HostPathVolumeSource<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub path: Text<'a>,
}

/// A `v1.VolumeMount`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub mount_path: Text<'a>,
}

/// An absolute path without `.`, `..`, doubled or trailing slashes, and with `/run` instead of
/// `/var/run`, which is a symbolic link to `/run` on all current distributions.
pub fn normalize_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let parts = match &parts[..] {
        ["var", "run", rest @ ..] => [&["run"], rest].concat(),
        parts => parts.to_vec(),
    };
    format!("/{}", parts.join("/"))
}

/// Whether `path` is `root` or below it. Both must be normalized.
pub fn is_within(path: &str, root: &str) -> bool {
    root == "/"
        || path
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalized() {
        for (path, normal) in [
            ("/", "/"),
            ("", "/"),
            ("//dev//", "/dev"),
            ("/./dev/../dev/nvidia0", "/dev/nvidia0"),
            ("/../../dev", "/dev"),
            ("/var/run/containerd", "/run/containerd"),
            ("/var/run", "/run"),
            ("/var/runner", "/var/runner"),
        ] {
            assert_eq!(normalize_path(path), normal, "{path}");
        }
    }

    #[test]
    fn is_within_compares_whole_path_components() {
        assert!(is_within("/dev", "/dev") && is_within("/dev/x", "/dev") && is_within("/dev", "/"));
        assert!(!is_within("/devices", "/dev") && !is_within("/", "/dev"));
    }
}
