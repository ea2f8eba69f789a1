//! What the mode of a policy makes of a decision.

use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use super::quota_warnings::traps;
use super::response::Response;
use crate::decision::{Denial, Grant};
use crate::gpu::GpuBypass;
use crate::gpu::names::{VISIBLE_DEVICES, VOID};
use crate::inventory::PendingAdmission;
use crate::k8s::Pod;
use crate::patch;
use crate::policy::{Mode, Policy};

/// Findings that one denial tells of; a person who mends these learns of the rest.
const MOST_TOLD: usize = 5;

/// What a pod is to become.
#[derive(Debug)]
pub(super) struct PendingChange<'d> {
    /// What it gets, where it asks for GPUs.
    pub grant: Option<Grant>,
    /// The doors of containers that are to see no GPU.
    pub unhidden: Vec<&'d GpuBypass>,
}

/// The answer to a pod that may be.
pub(super) fn admitted<'c>(
    pod: &Pod<'_>,
    policy: &'c Policy,
    becoming: PendingChange<'_>,
    namespace: &str,
    dry_run: bool,
    context: &AdmissionContext<'_, '_>,
) -> Admission<'c> {
    let PendingChange { grant, unhidden } = becoming;
    let mut edits = Vec::new();
    if let Some(grant) = &grant {
        edits.extend(patch::edits(pod, &policy.name, grant));
        edits.extend(
            context
                .scheduler_name
                .and_then(|name| patch::edit::scheduler(pod, name)),
        );
    }
    let hidden = patch::edit::hide(&unhidden);
    let hides = !hidden.is_empty();
    edits.extend(hidden);
    let changes = !edits.is_empty();
    let (outcome, patch) = match (policy.mode, changes) {
        (_, false) => (AdmissionOutcome::Unchanged, Vec::new()),
        (Mode::Enforce, true) => (AdmissionOutcome::Rewritten, patch::patch(pod, &edits)),
        (Mode::Warn | Mode::Audit, true) => (AdmissionOutcome::WouldRewrite, Vec::new()),
    };
    let mut told = Vec::new();
    if let Some(grant) = &grant {
        match policy.mode {
            Mode::Enforce => told.extend(warnings(policy, "", &grant.warnings)),
            Mode::Warn => told.extend(warnings(policy, "would be: ", &grant.warnings)),
            Mode::Audit => {}
        }
        if policy.mode != Mode::Audit {
            told.extend(warnings(policy, "", &traps(context.inventory, namespace, grant)));
        }
    }
    // Hiding GPUs from containers that want none takes nothing from anybody, so where it is done nobody is told of it.
    if hides && policy.mode == Mode::Warn {
        let fields: Vec<String> = unhidden.iter().map(|door| door.field()).collect();
        let text = format!("would be: {VISIBLE_DEVICES}={VOID} in {}", fields.join(", "));
        told.extend(warnings(policy, "", &[text]));
    }
    // Without a change this is the second pass over our own output, whose claim is counted already.
    let pending_admission = grant
        .as_ref()
        .filter(|_| policy.mode == Mode::Enforce && changes && !dry_run)
        .map(|grant| PendingAdmission {
            namespace: pod.metadata.namespace.as_deref().unwrap_or("default").into(),
            strategy: grant.strategy,
            demand: grant.demand.clone(),
        });
    let because = match (&grant, hides) {
        (Some(grant), _) => grant.because.clone(),
        (None, true) => "asks for no GPU, and is kept from those of its node".to_owned(),
        (None, false) => "asks for no GPU, and sees none".to_owned(),
    };
    Admission {
        response: Response {
            patch,
            warnings: told,
            audit: audit(policy, outcome, &because),
            ..Response::default()
        },
        policy: Some(policy),
        strategy: grant.map(|grant| grant.strategy),
        pending_admission,
        ..Admission::passed(outcome, because)
    }
}

/// The answer to a pod that may not be, for at least one reason.
pub(super) fn denied<'c>(policy: &'c Policy, denials: &[Denial]) -> Admission<'c> {
    let mut text: Vec<String> = denials.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    if let Some(more) = denials.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        text.push(format!("{more} more"));
    }
    let text = text.join(". Also ");
    let because = text.clone();
    let admission = match policy.mode {
        Mode::Enforce => Admission::refused(
            AdmissionOutcome::Denied,
            403,
            "Forbidden",
            format!("apportion ({}): {text}", policy.name),
        ),
        Mode::Warn => Admission {
            response: Response {
                warnings: warnings(policy, "would be denied: ", &[text]),
                ..Response::default()
            },
            ..Admission::passed(AdmissionOutcome::WouldDeny, "")
        },
        Mode::Audit => Admission::passed(AdmissionOutcome::WouldDeny, ""),
    };
    let audit = audit(policy, admission.outcome, &because);
    Admission {
        policy: Some(policy),
        because,
        response: Response {
            audit,
            ..admission.response
        },
        ..admission
    }
}

fn warnings(policy: &Policy, prefix: &str, texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .map(|text| format!("apportion ({}): {prefix}{text}", policy.name))
        .collect()
}

fn audit(policy: &Policy, outcome: AdmissionOutcome, because: &str) -> Vec<(&'static str, String)> {
    vec![
        ("policy", policy.name.to_string()),
        ("outcome", outcome.as_str().to_owned()),
        ("because", because.to_owned()),
    ]
}
