//! The extended resources that NVIDIA's device plugin advertises for GPUs.

use std::fmt;
use std::str::FromStr;

use super::names::NVIDIA_DOMAIN;
use crate::diagnostics::excerpt;
use apportion_mig::profile::{MigProfile, ParseProfileError};

const GPU: &str = "nvidia.com/gpu";
const MIG_PREFIX: &str = "nvidia.com/mig-";
/// The suffix that `renameByDefault` adds (k8s-device-plugin `api/config/v1/consts.go`).
const SHARED_SUFFIX: &str = ".shared";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GpuResource {
    /// `nvidia.com/gpu`: a whole GPU, a share of one, or a MIG device under MIG `single`, depending
    /// on the labels of the node.
    Gpu,
    /// `nvidia.com/gpu.shared`: a share, by time-slicing or MPS.
    GpuShared,
    /// `nvidia.com/mig-<profile>`: a MIG device or, depending on the labels of the node, a time
    /// slice of one.
    Mig(MigProfile),
    /// `nvidia.com/mig-<profile>.shared`: a time slice of a MIG device.
    MigShared(MigProfile),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    #[error("`{0}` is not a GPU resource; use nvidia.com/gpu, nvidia.com/gpu.shared or nvidia.com/mig-<profile>")]
    NotGpu(String),
    #[error("`{name}` names no MIG profile: {source}")]
    Profile { name: String, source: ParseProfileError },
}

impl GpuResource {
    /// Whether `name` is a GPU resource, valid or not. Other resources of `nvidia.com/`, such as
    /// network devices, are not.
    pub fn is_gpu_name(name: &str) -> bool {
        name.strip_prefix(NVIDIA_DOMAIN)
            .is_some_and(|rest| rest == "gpu" || rest == "gpu.shared" || rest.starts_with("mig-"))
    }

    /// `None` if the name does not tell the profile.
    pub fn profile(self) -> Option<MigProfile> {
        match self {
            GpuResource::Gpu | GpuResource::GpuShared => None,
            GpuResource::Mig(profile) | GpuResource::MigShared(profile) => Some(profile),
        }
    }

    /// Whether the name shows that the resource is a share.
    pub fn is_renamed_share(self) -> bool {
        matches!(self, GpuResource::GpuShared | GpuResource::MigShared(_))
    }

    /// The key of the label that GPU feature discovery writes with this suffix. If sharing renames
    /// the resource, the key keeps the original name.
    pub fn label_key(self, suffix: &str) -> String {
        match self.profile() {
            None => format!("{GPU}.{suffix}"),
            Some(profile) => format!("{MIG_PREFIX}{}.{suffix}", profile.in_resource_name()),
        }
    }

    /// The name without its domain: `gpu`, `mig-1g.10gb`.
    pub fn short_name(self) -> String {
        self.to_string()[NVIDIA_DOMAIN.len()..].to_owned()
    }
}

impl FromStr for GpuResource {
    type Err = ResourceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = name.strip_prefix(MIG_PREFIX) {
            let (profile, shared) = match rest.strip_suffix(SHARED_SUFFIX) {
                Some(profile) => (profile, true),
                None => (rest, false),
            };
            let profile = MigProfile::from_resource_name(profile).map_err(|source| ResourceError::Profile {
                name: excerpt(name).into_owned(),
                source: ParseProfileError(excerpt(&source.0).into_owned()),
            })?;
            return Ok(if shared {
                GpuResource::MigShared(profile)
            } else {
                GpuResource::Mig(profile)
            });
        }
        match name.strip_prefix(GPU) {
            Some("") => Ok(GpuResource::Gpu),
            Some(SHARED_SUFFIX) => Ok(GpuResource::GpuShared),
            _ => Err(ResourceError::NotGpu(excerpt(name).into_owned())),
        }
    }
}

impl fmt::Display for GpuResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GpuResource::Gpu => f.write_str(GPU),
            GpuResource::GpuShared => write!(f, "{GPU}{SHARED_SUFFIX}"),
            GpuResource::Mig(profile) => write!(f, "{MIG_PREFIX}{}", profile.in_resource_name()),
            GpuResource::MigShared(profile) => write!(f, "{MIG_PREFIX}{}{SHARED_SUFFIX}", profile.in_resource_name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in [
            "nvidia.com/gpu",
            "nvidia.com/gpu.shared",
            "nvidia.com/mig-1g.10gb",
            "nvidia.com/mig-1g.10gb.me",
            "nvidia.com/mig-1g.10gb.me.shared",
            "nvidia.com/mig-1g.24gb-me",
            "nvidia.com/mig-7g.80gb.shared",
        ] {
            assert!(GpuResource::is_gpu_name(name));
            assert_eq!(name.parse::<GpuResource>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn other_names_are_not_gpu_resources() {
        for name in [
            "cpu",
            "nvidia.com/gpumem",
            "nvidia.com/hostdev",
            "amd.com/gpu",
            "nvidia.com/gpu.count",
            "gpu",
        ] {
            assert!(!GpuResource::is_gpu_name(name), "{name}");
            assert!(name.parse::<GpuResource>().is_err(), "{name}");
        }
        assert!(GpuResource::is_gpu_name("nvidia.com/mig-huge"));
        assert!(matches!(
            "nvidia.com/mig-huge".parse::<GpuResource>(),
            Err(ResourceError::Profile { .. })
        ));
    }

    #[test]
    fn label_keys_use_the_unshared_name() {
        let key = |name: &str| name.parse::<GpuResource>().unwrap().label_key("replicas");
        assert_eq!(key("nvidia.com/gpu.shared"), "nvidia.com/gpu.replicas");
        assert_eq!(
            key("nvidia.com/mig-1g.10gb.me.shared"),
            "nvidia.com/mig-1g.10gb.me.replicas"
        );
    }
}
