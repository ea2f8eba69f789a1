//! The answer that a decision becomes under the policy's mode.

use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use super::quota_warnings::quota_warnings;
use super::response::Response;
use crate::decision::{Denial, Grant};
use crate::diagnostics::excerpt;
use crate::gpu::GpuBypass;
use crate::gpu::names::{VISIBLE_DEVICES, VOID};
use crate::inventory::PendingAdmission;
use crate::k8s::Pod;
use crate::patch;
use crate::policy::{Mode, Policy};

/// The most denials that one message lists. A user who fixes these sees the rest next.
const MAX_DENIALS: usize = 5;

/// What is changed in a pod that is allowed.
#[derive(Debug)]
pub(super) struct PodChanges<'d> {
    /// `None` for a pod that requests no GPU.
    pub grant: Option<Grant>,
    /// The bypasses of containers from which GPUs are hidden.
    pub unhidden: Vec<&'d GpuBypass>,
}

/// The answer to a pod that its policy allows.
pub(super) fn allow<'c>(
    pod: &Pod<'_>,
    policy: &'c Policy,
    changes: PodChanges<'_>,
    namespace: &str,
    dry_run: bool,
    context: &AdmissionContext<'_, '_>,
) -> Admission<'c> {
    let PodChanges { grant, unhidden } = changes;
    let mut edits = Vec::new();
    if let Some(grant) = &grant {
        edits.extend(patch::edits(pod, &policy.name, grant));
        edits.extend(
            context
                .scheduler_name
                .and_then(|name| patch::edit::set_scheduler(pod, name)),
        );
    }
    let hiding = patch::edit::hide_gpus(&unhidden);
    let hides = !hiding.is_empty();
    edits.extend(hiding);
    let is_changed = !edits.is_empty();
    let (outcome, patch) = match (policy.mode, is_changed) {
        (_, false) => (AdmissionOutcome::Unchanged, patch::Patch::default()),
        (Mode::Enforce, true) => (AdmissionOutcome::Rewritten, patch::build_patch(pod, &edits)),
        (Mode::Warn | Mode::Audit, true) => (AdmissionOutcome::WouldRewrite, patch::Patch::default()),
    };
    let mut warnings = Vec::new();
    if let Some(grant) = &grant {
        match policy.mode {
            Mode::Enforce => warnings.extend(prefixed(policy, "", &grant.warnings)),
            Mode::Warn => warnings.extend(prefixed(policy, "would be: ", &grant.warnings)),
            Mode::Audit => {}
        }
        if policy.mode != Mode::Audit {
            let texts = quota_warnings(context.inventory, namespace, grant);
            warnings.extend(prefixed(policy, "", &texts));
        }
    }
    // Hiding GPUs takes nothing from containers that request none, so in mode Enforce it needs no
    // warning.
    if hides && policy.mode == Mode::Warn {
        let fields: Vec<String> = unhidden.iter().map(|bypass| bypass.field()).collect();
        let text = format!("would be: {VISIBLE_DEVICES}={VOID} in {}", excerpt(&fields.join(", ")));
        warnings.extend(prefixed(policy, "", &[text]));
    }
    // A pod without changes went through admission before, so it is counted already.
    let pending_admission = grant
        .as_ref()
        .filter(|_| policy.mode == Mode::Enforce && is_changed && !dry_run)
        .map(|grant| PendingAdmission {
            namespace: pod.metadata.namespace.as_deref().unwrap_or("default").into(),
            strategy: grant.strategy,
            demand: grant.demand.clone(),
        });
    let reason = match (&grant, hides) {
        (Some(grant), _) => grant.reason.clone(),
        (None, true) => "asks for no GPU, so the GPUs of its node are hidden from it".to_owned(),
        (None, false) => "asks for no GPU, and sees none".to_owned(),
    };
    Admission {
        response: Response {
            patch,
            warnings,
            audit: audit_annotations(policy, outcome, &reason),
            ..Response::default()
        },
        policy: Some(policy),
        strategy: grant.map(|grant| grant.strategy),
        pending_admission,
        ..Admission::allowed(outcome, reason)
    }
}

/// The answer to a pod that its policy denies.
pub(super) fn deny<'c>(policy: &'c Policy, denials: &[Denial]) -> Admission<'c> {
    let mut texts: Vec<String> = denials.iter().take(MAX_DENIALS).map(ToString::to_string).collect();
    if let Some(more) = denials.len().checked_sub(MAX_DENIALS).filter(|more| *more > 0) {
        texts.push(format!("{more} more"));
    }
    let reason = texts.join(". Also ");
    let admission = match policy.mode {
        Mode::Enforce => Admission::denied(
            AdmissionOutcome::Denied,
            403,
            "Forbidden",
            format!("apportion ({}): {reason}", policy.name),
        ),
        Mode::Warn => Admission {
            response: Response {
                warnings: prefixed(policy, "would be denied: ", std::slice::from_ref(&reason)),
                ..Response::default()
            },
            ..Admission::allowed(AdmissionOutcome::WouldDeny, "")
        },
        Mode::Audit => Admission::allowed(AdmissionOutcome::WouldDeny, ""),
    };
    let audit = audit_annotations(policy, admission.outcome, &reason);
    Admission {
        policy: Some(policy),
        reason,
        response: Response {
            audit,
            ..admission.response
        },
        ..admission
    }
}

fn prefixed(policy: &Policy, prefix: &str, texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .map(|text| format!("apportion ({}): {prefix}{text}", policy.name))
        .collect()
}

fn audit_annotations(policy: &Policy, outcome: AdmissionOutcome, reason: &str) -> Vec<(&'static str, String)> {
    vec![
        ("policy", policy.name.to_string()),
        ("outcome", outcome.as_str().to_owned()),
        ("because", reason.to_owned()),
    ]
}
