//! The answer to the creation or the update of a pod.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::enforcement::{PodChanges, allow, deny};
use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use super::response::Response;
use crate::decision::{Decision, DecisionInput, Denial, Grant, decide, isolation};
use crate::gpu::demand::DemandError;
use crate::gpu::gpu_bypass::node_name;
use crate::gpu::{BypassKind, GpuBypass, PodDemand, gpu_bypasses};
use crate::k8s::{ContainerKind, LabelSource as _, Pod};
use crate::policy::OnUnknown;
use crate::policy::{Governed, Guarantees, Policy};

pub(super) fn admit_creation<'c>(
    pod: &Pod<'_>,
    namespace: &str,
    dry_run: bool,
    context: &AdmissionContext<'c, '_>,
) -> Admission<'c> {
    if pod.is_mirror() {
        return Admission::allowed(AdmissionOutcome::Ungoverned, "a mirror pod runs whatever the API says");
    }
    let demand = PodDemand::from_pod(pod);
    let requests_gpu = !demand.as_ref().is_ok_and(PodDemand::is_empty);
    let without_gpu = || Admission::allowed(AdmissionOutcome::Ungoverned, "asks for no GPU");
    if !requests_gpu && !context.policies.isolates() {
        return without_gpu();
    }
    let policy = match governing_policy(pod, namespace, context) {
        Ok(policy) => policy,
        Err(admission) => return *admission,
    };
    if !requests_gpu && !policy.isolation.is_enabled() {
        return without_gpu();
    }
    let mut bypasses = Vec::new();
    if policy.isolation.is_enabled() {
        bypasses = gpu_bypasses(pod);
        bypasses.extend(node_name(pod));
    }
    let granted = requests_gpu.then(|| grant(pod, namespace, demand, policy, context));
    let (grant, mut denials) = match granted.transpose() {
        Ok(grant) => (grant, Vec::new()),
        Err(denial) => (None, vec![denial]),
    };
    denials.extend(isolation::denials(&policy.isolation, &bypasses));
    if !denials.is_empty() {
        return deny(policy, &denials);
    }
    let unhidden = isolation::unhidden(&policy.isolation, &bypasses);
    allow(pod, policy, PodChanges { grant, unhidden }, namespace, dry_run, context)
}

/// The answer to an update.
///
/// GPU requests cannot be changed by an update, so an update is never rewritten, with one
/// exception: ephemeral containers are new, and the GPUs that they see follow from their image as
/// for any other container. The API server sends the whole pod and the old one, and accepts changes
/// to ephemeral containers that it has not stored yet (`ValidatePodEphemeralContainersUpdate` in
/// Kubernetes' `pkg/apis/core/validation`).
pub(super) fn admit_update<'c>(
    pod: &Pod<'_>,
    old: &Pod<'_>,
    namespace: &str,
    context: &AdmissionContext<'c, '_>,
) -> Admission<'c> {
    let irrelevant = || Admission::allowed(AdmissionOutcome::Skipped, "the update adds no access to GPUs");
    if !context.policies.isolates() || pod.is_mirror() {
        return irrelevant();
    }
    let mut bypasses = gpu_bypasses(pod);
    let existing = old.spec.ephemeral_containers.iter().map(|container| &*container.name);
    let existing: BTreeSet<&str> = existing.collect();
    bypasses.retain(|bypass| is_added(bypass, pod, old, &existing));
    if bypasses.is_empty() {
        return irrelevant();
    }
    let policy = match governing_policy(pod, namespace, context) {
        Ok(policy) => policy,
        Err(admission) => return *admission,
    };
    if !bypasses.iter().any(|bypass| policy.isolation.blocks(bypass.kind)) {
        return irrelevant();
    }
    let denials = isolation::denials(&policy.isolation, &bypasses);
    if !denials.is_empty() {
        return deny(policy, &denials);
    }
    let unhidden = isolation::unhidden(&policy.isolation, &bypasses);
    allow(
        pod,
        policy,
        PodChanges { grant: None, unhidden },
        namespace,
        true,
        context,
    )
}

/// Whether an update adds a bypass: with an annotation, or with an ephemeral container, which is
/// identified by name because the order may change. No other field that can be a bypass is mutable.
/// `existing` has the names of the ephemeral containers before the update.
fn is_added(bypass: &GpuBypass, pod: &Pod<'_>, old: &Pod<'_>, existing: &BTreeSet<&str>) -> bool {
    match (bypass.kind, bypass.container) {
        (BypassKind::Annotation, _) => {
            pod.metadata.annotations.label(&bypass.name) != old.metadata.annotations.label(&bypass.name)
        }
        (_, Some((ContainerKind::Ephemeral, index))) => {
            let container = pod.spec.container(ContainerKind::Ephemeral, index as usize);
            container.is_some_and(|added| !existing.contains(&*added.name))
        }
        _ => false,
    }
}

/// The policy that governs a pod, or the answer if there is none.
fn governing_policy<'c>(
    pod: &Pod<'_>,
    namespace: &str,
    context: &AdmissionContext<'c, '_>,
) -> Result<&'c Policy, Box<Admission<'c>>> {
    let admission = match context
        .inventory
        .governing(context.policies, namespace, &pod.metadata.labels)
    {
        Governed::By(policy) => return Ok(policy),
        Governed::ByNone => Admission::allowed(AdmissionOutcome::Ungoverned, "no policy governs it"),
        Governed::ByUnknownNamespace => admit_unknown(
            context,
            format!("namespace {namespace} is not known yet; try again in a moment"),
        ),
        Governed::ByUnknownPolicy(name) => {
            let message = format!(
                "namespace {namespace} is labeled with policy {name}, which does not exist; the policies are {}",
                context.policies.names()
            );
            admit_unknown(context, message)
        }
    };
    Err(Box::new(admission))
}

fn admit_unknown<'c>(context: &AdmissionContext<'_, '_>, message: String) -> Admission<'c> {
    match context.on_unknown {
        // 503 rather than 403, because trying again later is right.
        OnUnknown::Refuse => Admission::denied(
            AdmissionOutcome::UnknownRefused,
            503,
            "ServiceUnavailable",
            format!("apportion: {message}"),
        ),
        OnUnknown::Admit => Admission {
            response: Response {
                warnings: vec![format!("apportion: not governed: {message}")],
                ..Response::default()
            },
            ..Admission::allowed(AdmissionOutcome::UnknownAdmitted, message)
        },
    }
}

/// What a pod that requests GPUs gets.
fn grant(
    pod: &Pod<'_>,
    namespace: &str,
    demand: Result<PodDemand, DemandError>,
    policy: &Policy,
    context: &AdmissionContext<'_, '_>,
) -> Result<Grant, Denial> {
    // Kubernetes requires a name, and a pod without one may have no metadata for a patch to add to.
    if pod.metadata.name.is_none() && pod.metadata.generate_name.is_none() {
        return Err(Denial::new(
            "metadata.name",
            "is missing",
            "set metadata.name or metadata.generateName",
        ));
    }
    let demand = demand.map_err(|error| Denial::new(error.field, error.reason, "correct it"))?;
    let (inventory, pending) = (context.inventory, context.pending);
    let terms = Guarantees::under_policy(Some(policy), namespace, inventory.namespace(namespace));
    let Decision { result: outcome, .. } = decide(&DecisionInput {
        pod,
        demand: &demand,
        policy,
        guarantees: &Arc::new(terms),
        inventory,
        pending,
    });
    outcome
}
