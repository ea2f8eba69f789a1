//! Writes MIG geometries as a configuration of NVIDIA's mig-parted, which the GPU Operator's MIG
//! manager applies.
//!
//! mig-parted rejects unknown fields and requires `devices` and `mig-enabled` (mig-parted
//! `api/spec/v1/spec.go`). It tries to create the instances in every order until one works
//! (`pkg/mig/config/config.go`), so the order of profiles does not matter.

use std::fmt::Write as _;

use apportion_mig::ProfileInfo;
use apportion_mig::placement::Placement;
use apportion_mig::profile::MigProfile;

/// A configuration that the label of a node can select.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    pub name: String,
    /// One line, written above the configuration.
    pub comment: Option<String>,
    pub gpu_groups: Vec<GpuGroup>,
}

/// GPUs of a node with the same geometry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuGroup {
    /// GPU indices; empty: all GPUs of the node.
    pub devices: Vec<u64>,
    pub geometry: Vec<Placement>,
}

/// The profiles of a geometry with the number of instances, in the order of the geometry.
pub fn count_profiles(geometry: &[Placement]) -> Vec<(&'static ProfileInfo, usize)> {
    let mut counts: Vec<(&'static ProfileInfo, usize)> = Vec::new();
    for placement in geometry {
        match counts.iter_mut().find(|(row, _)| *row == placement.profile) {
            Some((_, count)) => *count += 1,
            None => counts.push((placement.profile, 1)),
        }
    }
    counts
}

/// A name for a geometry that is valid as the value of a label, such as `3g.40gb-2x2g.20gb`.
pub fn geometry_name(geometry: &[Placement]) -> String {
    let term = |(row, count): (&ProfileInfo, usize)| {
        let profile = row.name.parse().map(MigProfile::in_resource_name).unwrap_or_default();
        if count == 1 {
            profile
        } else {
            format!("{count}x{profile}")
        }
    };
    count_profiles(geometry)
        .into_iter()
        .map(term)
        .collect::<Vec<_>>()
        .join("-")
}

/// The configuration file.
pub fn config_file(configs: &[NodeConfig]) -> String {
    let mut text = "version: v1\nmig-configs:\n".to_owned();
    for config in configs {
        if let Some(comment) = &config.comment {
            let _ = writeln!(text, "  # {comment}");
        }
        let _ = writeln!(text, "  {}:", config.name);
        for group in &config.gpu_groups {
            let devices = if group.devices.is_empty() {
                "all".to_owned()
            } else {
                format!("{:?}", group.devices)
            };
            let _ = write!(
                text,
                "  - devices: {devices}\n    mig-enabled: true\n    mig-devices:\n"
            );
            for (row, count) in count_profiles(&group.geometry) {
                let _ = writeln!(text, "      \"{}\": {count}", row.name);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_mig::MODELS;

    #[test]
    fn geometry_names_are_unique_and_valid_label_values() {
        for model in MODELS {
            let mut names: Vec<String> = model
                .geometries()
                .iter()
                .map(|geometry| geometry_name(geometry))
                .collect();
            for name in &names {
                let is_label_character = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                assert!(name.len() <= 63 && name.chars().all(is_label_character), "{name}");
                assert!(name.ends_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
            }
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{}", model.name);
        }
    }
}
