//! What a decision says.

use crate::gpu::{ContainerDemand, Counts, GpuResource, Strategy};
use crate::inventory::Availability;
use crate::k8s::Requirement;

use super::resource_naming::ResourceNaming;

/// The outcome, and all that was weighed on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the pod gets, or why it is turned away.
    pub outcome: Result<Grant, Denial>,
    /// What was weighed, in order of preference.
    pub considered: Vec<ConsideredOption>,
}

/// What a pod gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How its GPUs are shared.
    pub strategy: Strategy,
    /// What each container with a GPU asks for from now on.
    pub targets: Vec<Target>,
    /// What the node must be, beyond what the pod says already.
    pub requirements: Vec<Requirement<'static>>,
    /// What a node must give: the effective request over all containers.
    pub demand: Counts,
    /// How well the cluster can serve it.
    pub availability: Availability,
    /// Why this and nothing else, for a person.
    pub because: String,
    /// What the user should know, each short enough for one Warning header.
    pub warnings: Vec<String>,
}

/// What one container asks for from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The container, and what it asked for.
    pub container: ContainerDemand,
    /// The one resource that it asks for.
    pub resource: GpuResource,
    /// How many.
    pub count: u64,
}

impl Target {
    /// What the container asks for from now on.
    pub fn after(&self) -> Counts {
        Counts::one(self.resource, self.count)
    }

    /// Whether the container asks for something else than before.
    pub fn is_change(&self) -> bool {
        self.container.counts != self.after()
    }
}

/// Why a pod is turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}; {hint}")]
pub struct Denial {
    /// The field to blame, as people write it.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do instead.
    pub hint: String,
}

impl Denial {
    /// A denial.
    pub fn new(field: impl Into<String>, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Denial {
            field: field.into(),
            reason: reason.into(),
            hint: hint.into(),
        }
    }
}

/// One way to serve the pod, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsideredOption {
    /// The strategy.
    pub strategy: Strategy,
    /// How nodes name it; `None` when the rule can not serve the pod at all.
    pub naming: Option<ResourceNaming>,
    /// What came of it.
    pub verdict: CandidateVerdict,
    /// Whether it is the one that the pod gets.
    pub taken: bool,
}

/// What came of one way to serve a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateVerdict {
    /// The pod is so already.
    Conforms,
    /// The cluster can serve it so well.
    Availability(Availability),
    /// It can not be done.
    Refused(Denial),
}
