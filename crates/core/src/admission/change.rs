//! Changes of pods that are there, as far as they can open a way to GPUs.
//!
//! Nothing of what a pod asks for can be changed, so an update is never rewritten, with one exception: ephemeral containers are new when
//! they come, and take their image's word for which GPUs they see like any other container. The API server sends the whole pod and
//! what it was before, and takes changes to ephemeral containers that it has not had yet (`ValidatePodEphemeralContainersUpdate` in
//! Kubernetes' `pkg/apis/core/validation`).

use super::answer::{PendingChange, admitted, denied};
use super::judge::governor;
use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use crate::decision::isolation;
use crate::gpu::{BypassKind, GpuBypass, gpu_bypasses};
use crate::k8s::{ContainerKind, LabelSource as _, Pod};

/// The answer to a change from `before` to `pod`.
pub(super) fn change<'c>(
    pod: &Pod<'_>,
    before: &Pod<'_>,
    namespace: &str,
    context: &AdmissionContext<'c, '_>,
) -> Admission<'c> {
    if !context.policies.isolates() || pod.is_mirror() {
        return nothing();
    }
    let mut doors = gpu_bypasses(pod);
    doors.retain(|door| is_new(door, pod, before));
    if doors.is_empty() {
        return nothing();
    }
    let policy = match governor(pod, namespace, context) {
        Ok(policy) => policy,
        Err(answer) => return *answer,
    };
    if !doors.iter().any(|door| policy.isolation.shuts(door.kind)) {
        return nothing();
    }
    let denials = isolation::denials(&policy.isolation, &doors);
    if !denials.is_empty() {
        return denied(policy, &denials);
    }
    let unhidden = isolation::unhidden(&policy.isolation, &doors);
    let becoming = PendingChange { grant: None, unhidden };
    admitted(pod, policy, becoming, namespace, true, context)
}

fn nothing<'c>() -> Admission<'c> {
    Admission::passed(AdmissionOutcome::Skipped, "a change that opens no way to GPUs")
}

/// Whether an update can have brought a door: with an ephemeral container, by its name since their order may change, or with an
/// annotation. Whatever else a pod was made with stays as it was.
fn is_new(door: &GpuBypass, pod: &Pod<'_>, before: &Pod<'_>) -> bool {
    match (door.kind, door.container) {
        (BypassKind::Annotation, _) => {
            pod.metadata.annotations.label(&door.found) != before.metadata.annotations.label(&door.found)
        }
        (_, Some((ContainerKind::Ephemeral, index))) => {
            let added = pod.spec.container(ContainerKind::Ephemeral, index as usize);
            let known = &before.spec.ephemeral_containers;
            added.is_some_and(|added| known.iter().all(|known| known.name != added.name))
        }
        _ => false,
    }
}
