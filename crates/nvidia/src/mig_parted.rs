//! Geometries as a configuration of NVIDIA's MIG partition editor, which the GPU operator's MIG manager applies.
//!
//! Its parser refuses fields that it does not know, and requires `devices` and `mig-enabled` (mig-parted `api/spec/v1/spec.go`).
//! It tries instances in every order until one works (`pkg/mig/config/config.go`), so that theirs does not matter here.

use std::fmt::Write as _;

use apportion_mig::geometry::Row;
use apportion_mig::placement::Placement;
use apportion_mig::profile::MigProfile;

/// A configuration that a node's label can select.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its name.
    pub name: String,
    /// A line of explanation.
    pub comment: Option<String>,
    /// What is to become of which GPUs of the node.
    pub parts: Vec<Part>,
}

/// GPUs of a node that become alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Their indices; all of the node where there are none.
    pub devices: Vec<u64>,
    /// What each of them holds.
    pub geometry: Vec<Placement>,
}

/// The rows of a geometry with their counts, in its order.
pub fn counted(geometry: &[Placement]) -> Vec<(&'static Row, usize)> {
    let mut counted: Vec<(&'static Row, usize)> = Vec::new();
    for placement in geometry {
        match counted.iter_mut().find(|(row, _)| *row == placement.row) {
            Some((_, count)) => *count += 1,
            None => counted.push((placement.row, 1)),
        }
    }
    counted
}

/// A name for a geometry that can be the value of a label: `3g.40gb-2x2g.20gb`.
pub fn name_of(geometry: &[Placement]) -> String {
    let part = |(row, count): (&Row, usize)| {
        let profile = row
            .profile
            .parse()
            .map(MigProfile::in_resource_name)
            .unwrap_or_default();
        if count == 1 {
            profile
        } else {
            format!("{count}x{profile}")
        }
    };
    counted(geometry).into_iter().map(part).collect::<Vec<_>>().join("-")
}

/// The document.
pub fn document(configs: &[NodeConfig]) -> String {
    let mut text = "version: v1\nmig-configs:\n".to_owned();
    for config in configs {
        if let Some(comment) = &config.comment {
            let _ = writeln!(text, "  # {comment}");
        }
        let _ = writeln!(text, "  {}:", config.name);
        for part in &config.parts {
            let devices = if part.devices.is_empty() {
                "all".to_owned()
            } else {
                format!("{:?}", part.devices)
            };
            let _ = write!(
                text,
                "  - devices: {devices}\n    mig-enabled: true\n    mig-devices:\n"
            );
            for (row, count) in counted(&part.geometry) {
                let _ = writeln!(text, "      \"{}\": {count}", row.profile);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_mig::geometry::MODELS;

    #[test]
    fn every_geometry_has_a_name_of_its_own_that_a_label_takes() {
        for model in MODELS {
            let mut names: Vec<String> = model.geometries().iter().map(|geometry| name_of(geometry)).collect();
            for name in &names {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                assert!(name.len() <= 63 && name.chars().all(plain), "{name}");
                assert!(name.ends_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
            }
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all, "{}", model.name);
        }
    }
}
