//! The values that a decision consists of.

use std::fmt;

use apportion_mig::profile::MigProfile;

use crate::gpu::{ContainerDemand, Counts, GpuResource, Strategy};
use crate::inventory::Availability;
use crate::k8s::Requirement;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub result: Result<Grant, Denial>,
    /// All candidates that were evaluated, in order of preference.
    pub considered: Vec<CandidateSummary>,
}

/// What a pod gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub strategy: Strategy,
    /// One for each container that requests GPUs.
    pub rewrites: Vec<ContainerRewrite>,
    /// What the pod does not require of its node yet.
    pub requirements: Vec<Requirement<'static>>,
    /// The effective request over all containers.
    pub demand: Counts,
    pub availability: Availability,
    /// Why this candidate was chosen, for users.
    pub reason: String,
    /// For the user, each short enough for one Warning header.
    pub warnings: Vec<String>,
}

/// What one container requests from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRewrite {
    /// The container, with its original request.
    pub container: ContainerDemand,
    pub resource: GpuResource,
    pub count: u64,
}

impl ContainerRewrite {
    /// What the container requests from now on.
    pub fn counts(&self) -> Counts {
        Counts::one(self.resource, self.count)
    }

    /// Whether the container requests something else from now on.
    pub fn is_change(&self) -> bool {
        self.container.counts != self.counts()
    }
}

/// Why a pod is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}; {hint}")]
pub struct Denial {
    /// Such as `spec.containers[0].resources.limits`.
    pub field: String,
    pub reason: String,
    /// How to fix it.
    pub hint: String,
}

impl Denial {
    pub fn new(field: impl Into<String>, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Denial {
            field: field.into(),
            reason: reason.into(),
            hint: hint.into(),
        }
    }

    /// A policy without strategies, which parsing rejects.
    pub(super) fn no_strategy() -> Self {
        Denial::new("spec", "the policy allows no strategy", "fix the policy")
    }
}

/// One way to serve a pod, and the result of its evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateSummary {
    pub strategy: Strategy,
    /// `None` if the rule cannot serve the pod at all.
    pub naming: Option<ResourceNaming>,
    pub status: CandidateStatus,
    /// Whether the pod gets this candidate.
    pub chosen: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateStatus {
    /// The pod already complies.
    Compliant,
    /// How well the cluster can serve it.
    Availability(Availability),
    Rejected(Denial),
}

/// The resource name that nodes use for what a strategy gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceNaming {
    /// `nvidia.com/gpu` on nodes that do not share.
    Whole,
    /// `nvidia.com/mig-<profile>`: MIG strategy `mixed`.
    MigNamed(MigProfile),
    /// `nvidia.com/gpu` on nodes under MIG strategy `single` with this profile.
    MigSingle(MigProfile),
    /// A share under this name, with or without `.shared`, depending on the device plugin's
    /// configuration.
    Share(GpuResource),
}

impl ResourceNaming {
    /// The resource for containers that do not request a profile of their own.
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
