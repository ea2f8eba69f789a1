//! One new pod: who governs it, and what is decided.

use std::sync::Arc;

use super::answer::{PendingChange, admitted, denied};
use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use super::response::Response;
use crate::decision::{Decision, DecisionInput, Denial, Grant, decide, isolation};
use crate::gpu::gpu_bypass::{gpu_bypasses, node_name};
use crate::gpu::{PodDemand, demand::DemandError};
use crate::k8s::Pod;
use crate::policy::Guarantees;
use crate::policy::governance::OnUnknown;
use crate::policy::{Governed, Policy};

/// The answer to the creation of a pod.
pub(super) fn judge<'c>(
    pod: &Pod<'_>,
    namespace: &str,
    dry_run: bool,
    context: &AdmissionContext<'c, '_>,
) -> Admission<'c> {
    if pod.is_mirror() {
        return Admission::passed(AdmissionOutcome::Ungoverned, "a mirror pod runs whatever the API says");
    }
    let demand = PodDemand::of(pod);
    let asks = !demand.as_ref().is_ok_and(PodDemand::is_empty);
    if !asks && !context.policies.isolates() {
        return Admission::passed(AdmissionOutcome::Ungoverned, "asks for no GPU");
    }
    let policy = match governor(pod, namespace, context) {
        Ok(policy) => policy,
        Err(answer) => return *answer,
    };
    if !asks && !policy.isolation.is_any() {
        return Admission::passed(AdmissionOutcome::Ungoverned, "asks for no GPU");
    }
    let mut doors = Vec::new();
    if policy.isolation.is_any() {
        doors = gpu_bypasses(pod);
        doors.extend(node_name(pod));
    }
    let (grant, mut denials) = match asks.then(|| share(pod, namespace, demand, policy, context)).transpose() {
        Ok(grant) => (grant, Vec::new()),
        Err(denial) => (None, vec![denial]),
    };
    denials.extend(isolation::denials(&policy.isolation, &doors));
    if denials.is_empty() {
        let unhidden = isolation::unhidden(&policy.isolation, &doors);
        admitted(
            pod,
            policy,
            PendingChange { grant, unhidden },
            namespace,
            dry_run,
            context,
        )
    } else {
        denied(policy, &denials)
    }
}

/// The policy that governs a pod, or the answer where that is none.
pub(super) fn governor<'c>(
    pod: &Pod<'_>,
    namespace: &str,
    context: &AdmissionContext<'c, '_>,
) -> Result<&'c Policy, Box<Admission<'c>>> {
    let answer = match context
        .inventory
        .governing(context.policies, namespace, &pod.metadata.labels)
    {
        Governed::By(policy) => return Ok(policy),
        Governed::ByNone => Admission::passed(AdmissionOutcome::Ungoverned, "no policy governs it"),
        Governed::ByUnknownNamespace => unknown(
            context,
            format!("namespace {namespace} is not known yet; try again in a moment"),
        ),
        Governed::ByUnknown(name) => {
            let message = format!(
                "namespace {namespace} is labelled with policy {name}, which does not exist; the policies are {}",
                context.policies.names()
            );
            unknown(context, message)
        }
    };
    Err(Box::new(answer))
}

fn unknown<'c>(context: &AdmissionContext<'_, '_>, message: String) -> Admission<'c> {
    match context.on_unknown {
        // 503 rather than 403: trying again later is the right thing to do.
        OnUnknown::Refuse => Admission::refused(
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
            ..Admission::passed(AdmissionOutcome::UnknownAdmitted, message)
        },
    }
}

/// What a pod that asks for GPUs gets of them.
fn share(
    pod: &Pod<'_>,
    namespace: &str,
    demand: Result<PodDemand, DemandError>,
    policy: &Policy,
    context: &AdmissionContext<'_, '_>,
) -> Result<Grant, Denial> {
    // Kubernetes wants one of them, and without either a patch would have no metadata to stand on.
    if pod.metadata.name.is_none() && pod.metadata.generate_name.is_none() {
        return Err(Denial::new(
            "metadata.name",
            "is missing",
            "set metadata.name or metadata.generateName",
        ));
    }
    let demand = demand.map_err(|error| Denial::new(error.field, error.reason, "correct it"))?;
    let (inventory, pending) = (context.inventory, context.pending);
    let terms = Guarantees::under(Some(policy), namespace, inventory.namespace(namespace));
    let Decision { outcome, .. } = decide(&DecisionInput {
        pod,
        demand: &demand,
        policy,
        terms: &Arc::new(terms),
        inventory,
        pending,
    });
    outcome
}
