//! What changes on a pod, in our own words.

use super::annotation::annotation;
use crate::decision::{Grant, Target};
use crate::gpu::names::{DECISION_ANNOTATION, VISIBLE_DEVICES, VOID};
use crate::gpu::{GpuBypass, GpuResource};
use crate::k8s::{Constraints, ContainerKind, Pod, Requirement};
use crate::policy::PolicyName;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A container's one GPU resource; every other GPU key of its lists goes.
    Resource {
        /// The list that the container stands in.
        kind: ContainerKind,
        /// Its place in the list.
        index: usize,
        /// What it asks for.
        resource: GpuResource,
        /// How many.
        count: u64,
    },
    /// Requirements that are added to every alternative of the pod's node affinity.
    NodeRequirements(Vec<Requirement<'static>>),
    /// The scheduler that places the pod.
    Scheduler(String),
    /// A variable that a container has behind its others, and before those that are named elsewhere.
    Variable {
        /// The list that the container stands in.
        kind: ContainerKind,
        /// Its place in the list.
        index: usize,
        /// The variable's name.
        name: &'static str,
        /// Its value.
        value: &'static str,
    },
    /// An annotation that is set.
    Annotation {
        /// Its key.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

/// The changes that a grant makes; none when the pod is so already.
pub fn edits(pod: &Pod<'_>, policy: &PolicyName, grant: &Grant) -> Vec<Edit> {
    let mut edits: Vec<Edit> = grant
        .targets
        .iter()
        .filter(|target| needs_edit(pod, target))
        .map(resource_edit)
        .collect();
    let constraints = Constraints::of(pod);
    let missing: Vec<_> = grant
        .requirements
        .iter()
        .filter(|r| !constraints.imply(r))
        .cloned()
        .collect();
    if !missing.is_empty() {
        edits.push(Edit::NodeRequirements(missing));
    }
    if let Some(value) = annotation(pod, policy, grant) {
        edits.push(Edit::Annotation {
            key: DECISION_ANNOTATION,
            value,
        });
    }
    edits
}

/// The changes that keep containers from seeing GPUs, given the doors of those that do not say so themselves.
pub fn hide(unhidden: &[&GpuBypass]) -> Vec<Edit> {
    let containers = unhidden.iter().filter_map(|door| door.container);
    containers
        .map(|(kind, index)| Edit::Variable {
            kind,
            index: index as usize,
            name: VISIBLE_DEVICES,
            value: VOID,
        })
        .collect()
}

/// The scheduler that every pod has unless somebody says otherwise.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The change that gives a pod to the scheduler `name`. A pod that asks for another one by itself keeps it: it has its reasons, a
/// gang scheduler perhaps.
pub fn scheduler(pod: &Pod<'_>, name: &str) -> Option<Edit> {
    match pod.spec.scheduler_name.as_deref() {
        None | Some("" | DEFAULT_SCHEDULER) if name != DEFAULT_SCHEDULER => Some(Edit::Scheduler(name.to_owned())),
        _ => None,
    }
}

fn resource_edit(target: &Target) -> Edit {
    Edit::Resource {
        kind: target.container.kind,
        index: target.container.index,
        resource: target.resource,
        count: target.count,
    }
}

/// Whether the container asks for something else, or keeps keys of other GPU resources with the value 0, which the scheduler counts
/// as a wish for an extender's attention.
fn needs_edit(pod: &Pod<'_>, target: &Target) -> bool {
    target.is_change()
        || pod
            .spec
            .container(target.container.kind, target.container.index)
            .is_some_and(|container| {
                let name = target.resource.to_string();
                let lists = [&container.resources.limits, &container.resources.requests];
                lists.iter().any(|list| {
                    list.iter()
                        .any(|(key, _)| GpuResource::is_gpu_name(key) && **key != *name)
                })
            })
}
