//! Volumes, as far as they come from the node, and where containers mount them.

use serde::Deserialize;

use super::text::{Text, null_as_default};

/// A `v1.Volume`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume<'a> {
    /// The file or directory of the node that it is.
    #[serde(default, borrow)]
    pub host_path: Option<HostPath<'a>>,
}

/// A `v1.HostPathVolumeSource`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HostPath<'a> {
    /// The path on the node.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub path: Text<'a>,
}

/// A `v1.VolumeMount`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount<'a> {
    /// The path in the container.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub mount_path: Text<'a>,
}

/// A path in its shortest spelling: absolute, without `.`, `..`, doubled and trailing slashes, and with `/run` for `/var/run`, which
/// is a link to it on the nodes of our time.
pub fn normal_path(path: &str) -> String {
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

/// Whether `path` is `root` or lies below it; both in their shortest spelling.
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
    fn spellings_of_a_path_are_one() {
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
            assert_eq!(normal_path(path), normal, "{path}");
        }
    }

    #[test]
    fn within_is_by_whole_names() {
        assert!(is_within("/dev", "/dev") && is_within("/dev/x", "/dev") && is_within("/dev", "/"));
        assert!(!is_within("/devices", "/dev") && !is_within("/", "/dev"));
    }
}
