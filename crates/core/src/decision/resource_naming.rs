//! How nodes name what a strategy gives.

use std::fmt;

use crate::gpu::GpuResource;
use apportion_mig::profile::MigProfile;

/// How nodes name what a strategy gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceNaming {
    /// `nvidia.com/gpu` on nodes that do not share.
    Whole,
    /// `nvidia.com/mig-<profile>`: MIG strategy `mixed`.
    MigNamed(MigProfile),
    /// `nvidia.com/gpu` on nodes under MIG strategy `single` with this profile.
    MigSingle(MigProfile),
    /// A share under this name: `.shared`, or plain where the plugin does not rename.
    Share(GpuResource),
}

impl ResourceNaming {
    /// The resource that containers without a wish of their own ask for.
    pub fn resource(self) -> GpuResource {
        match self {
            ResourceNaming::Whole | ResourceNaming::MigSingle(_) => GpuResource::Gpu,
            ResourceNaming::MigNamed(profile) => GpuResource::Mig(profile),
            ResourceNaming::Share(resource) => resource,
        }
    }
}

impl fmt::Display for ResourceNaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourceNaming::Whole | ResourceNaming::MigNamed(_) | ResourceNaming::Share(_) => {
                write!(f, "{}", self.resource())
            }
            ResourceNaming::MigSingle(profile) => write!(f, "{}, MIG single {profile}", self.resource()),
        }
    }
}
