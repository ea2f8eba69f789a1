//! The changes to a pod, before they become JSON Patch operations.

use super::annotation::decision_annotation;
use crate::decision::{ContainerRewrite, Grant};
use crate::gpu::names::{DECISION_ANNOTATION, VISIBLE_DEVICES, VOID};
use crate::gpu::{GpuBypass, GpuResource};
use crate::k8s::{ContainerKind, Pod, RequiredNodeAffinity, Requirement};
use crate::policy::PolicyName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Makes this the only GPU resource of a container, in its limits and requests.
    Resource {
        kind: ContainerKind,
        /// The index of the container in the list of its kind.
        index: usize,
        resource: GpuResource,
        count: u64,
    },
    /// Adds requirements to every term of the pod's required node affinity.
    NodeRequirements(Vec<Requirement<'static>>),
    /// Sets the name of the scheduler.
    Scheduler(String),
    /// Appends a variable to `env`. It takes precedence over the others, and over those of
    /// `envFrom`.
    EnvVar {
        kind: ContainerKind,
        /// The index of the container in the list of its kind.
        index: usize,
        name: &'static str,
        value: &'static str,
    },
    Annotation {
        key: &'static str,
        value: String,
    },
}

/// The changes that a grant makes; none if the pod already complies.
pub fn edits(pod: &Pod<'_>, policy: &PolicyName, grant: &Grant) -> Vec<Edit> {
    let mut edits: Vec<Edit> = grant
        .rewrites
        .iter()
        .filter(|rewrite| needs_edit(pod, rewrite))
        .map(resource_edit)
        .collect();
    let affinity = RequiredNodeAffinity::from_pod(pod);
    let affinity = affinity.normalize();
    let missing: Vec<_> = grant
        .requirements
        .iter()
        .filter(|r| !affinity.implies(r))
        .cloned()
        .collect();
    if !missing.is_empty() {
        edits.push(Edit::NodeRequirements(missing));
    }
    if let Some(value) = decision_annotation(pod, policy, grant) {
        edits.push(Edit::Annotation {
            key: DECISION_ANNOTATION,
            value,
        });
    }
    edits
}

/// The changes that hide GPUs from containers, given their [`BypassKind::Image`] bypasses.
///
/// [`BypassKind::Image`]: crate::gpu::BypassKind::Image
pub fn hide_gpus(unhidden: &[&GpuBypass]) -> Vec<Edit> {
    let containers = unhidden.iter().filter_map(|bypass| bypass.container);
    containers
        .map(|(kind, index)| Edit::EnvVar {
            kind,
            index: index as usize,
            name: VISIBLE_DEVICES,
            value: VOID,
        })
        .collect()
}

/// The API server sets this unless the user names another scheduler.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The change that assigns a pod to the scheduler `name`. A pod that already names another
/// scheduler, such as a gang scheduler, keeps it.
pub fn set_scheduler(pod: &Pod<'_>, name: &str) -> Option<Edit> {
    match pod.spec.scheduler_name.as_deref() {
        None | Some("" | DEFAULT_SCHEDULER) if name != DEFAULT_SCHEDULER => Some(Edit::Scheduler(name.to_owned())),
        _ => None,
    }
}

fn resource_edit(rewrite: &ContainerRewrite) -> Edit {
    Edit::Resource {
        kind: rewrite.container.kind,
        index: rewrite.container.index,
        resource: rewrite.resource,
        count: rewrite.count,
    }
}

/// Whether the container requests something else, or has keys of other GPU resources with the value
/// 0: kube-scheduler would call the extender for these too.
fn needs_edit(pod: &Pod<'_>, rewrite: &ContainerRewrite) -> bool {
    rewrite.is_change()
        || pod
            .spec
            .container(rewrite.container.kind, rewrite.container.index)
            .is_some_and(|container| {
                let name = rewrite.resource.to_string();
                let lists = [&container.resources.limits, &container.resources.requests];
                lists.iter().any(|list| {
                    list.iter()
                        .any(|(key, _)| GpuResource::is_gpu_name(key) && **key != *name)
                })
            })
}
