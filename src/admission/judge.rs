//! One pod: who governs it, what is decided, and what the policy's mode makes of that.

use std::sync::Arc;

use super::outcome::{Admission, Context, Outcome};
use super::response::Response;
use super::traps::traps;
use crate::decision::{Decision, Denial, Grant, OnUnknown, Question, decide, governing, terms_of};
use crate::gpu::PodDemand;
use crate::inventory::Claim;
use crate::object::Pod;
use crate::policy::{Governed, Mode, Policy};
use crate::rewrite;

/// The answer to the creation of a pod.
pub(super) fn judge<'c>(pod: &Pod<'_>, namespace: &str, dry_run: bool, context: &Context<'c, '_>) -> Admission<'c> {
    if pod.is_mirror() {
        return Admission::passed(Outcome::Ungoverned, "a mirror pod runs whatever the API says");
    }
    let demand = PodDemand::of(pod);
    if demand.as_ref().is_ok_and(PodDemand::is_empty) {
        return Admission::passed(Outcome::Ungoverned, "asks for no GPU");
    }
    let governed = governing(context.policies, context.inventory, namespace, &pod.metadata.labels);
    let policy = match governed {
        Governed::ByNone => return Admission::passed(Outcome::Ungoverned, "no policy governs it"),
        Governed::ByUnknownNamespace => {
            return unknown(
                context,
                format!("namespace {namespace} is not known yet; try again in a moment"),
            );
        }
        Governed::ByUnknown(name) => {
            let message = format!(
                "namespace {namespace} is labelled with policy {name}, which does not exist; the policies are {}",
                context.policies.names()
            );
            return unknown(context, message);
        }
        Governed::By(policy) => policy,
    };
    // Kubernetes wants one of them, and without either a patch would have no metadata to stand on.
    let nameless = pod.metadata.name.is_none() && pod.metadata.generate_name.is_none();
    let decision = if nameless {
        Err(Denial::new(
            "metadata.name",
            "is missing",
            "set metadata.name or metadata.generateName",
        ))
    } else {
        match demand {
            Err(error) => Err(Denial::new(error.field, error.reason, "correct it")),
            Ok(demand) => {
                let (inventory, claims) = (context.inventory, context.claims);
                let terms = terms_of(Some(policy), namespace, inventory.namespace(namespace));
                let Decision { outcome, .. } = decide(&Question {
                    pod,
                    demand: &demand,
                    policy,
                    terms: &Arc::new(terms),
                    inventory,
                    claims,
                });
                outcome
            }
        }
    };
    match decision {
        Ok(grant) => granted(pod, policy, &grant, namespace, dry_run, context),
        Err(denial) => denied(policy, &denial),
    }
}

fn unknown<'c>(context: &Context<'_, '_>, message: String) -> Admission<'c> {
    match context.on_unknown {
        // 503 rather than 403: trying again later is the right thing to do.
        OnUnknown::Refuse => Admission::refused(
            Outcome::UnknownRefused,
            503,
            "ServiceUnavailable",
            format!("apportion: {message}"),
        ),
        OnUnknown::Admit => Admission {
            response: Response {
                warnings: vec![format!("apportion: not governed: {message}")],
                ..Response::default()
            },
            ..Admission::passed(Outcome::UnknownAdmitted, message)
        },
    }
}

fn granted<'c>(
    pod: &Pod<'_>,
    policy: &'c Policy,
    grant: &Grant,
    namespace: &str,
    dry_run: bool,
    context: &Context<'_, '_>,
) -> Admission<'c> {
    let mut edits = rewrite::edits(pod, &policy.name, grant);
    edits.extend(
        context
            .scheduler_name
            .and_then(|name| rewrite::edit::scheduler(pod, name)),
    );
    let changes = !edits.is_empty();
    let (outcome, patch) = match (policy.mode, changes) {
        (_, false) => (Outcome::Unchanged, Vec::new()),
        (Mode::Enforce, true) => (Outcome::Rewritten, rewrite::patch(pod, &edits)),
        (Mode::Warn | Mode::Audit, true) => (Outcome::WouldRewrite, Vec::new()),
    };
    let mut told = match policy.mode {
        Mode::Enforce => warnings(policy, "", &grant.warnings),
        Mode::Warn => warnings(policy, "would be: ", &grant.warnings),
        Mode::Audit => Vec::new(),
    };
    if policy.mode != Mode::Audit {
        told.extend(warnings(policy, "", &traps(context.inventory, namespace, grant)));
    }
    // Without a change this is the second pass over our own output, whose claim is counted already.
    let claim = (policy.mode == Mode::Enforce && changes && !dry_run).then(|| Claim {
        namespace: pod.metadata.namespace.as_deref().unwrap_or("default").into(),
        strategy: grant.strategy,
        demand: grant.demand.clone(),
    });
    Admission {
        response: Response {
            patch,
            warnings: told,
            audit: audit(policy, outcome, &grant.because),
            ..Response::default()
        },
        policy: Some(policy),
        strategy: Some(grant.strategy),
        claim,
        ..Admission::passed(outcome, grant.because.clone())
    }
}

fn denied<'c>(policy: &'c Policy, denial: &Denial) -> Admission<'c> {
    let text = denial.to_string();
    let because = text.clone();
    let admission = match policy.mode {
        Mode::Enforce => Admission::refused(
            Outcome::Denied,
            403,
            "Forbidden",
            format!("apportion ({}): {text}", policy.name),
        ),
        Mode::Warn => Admission {
            response: Response {
                warnings: warnings(policy, "would be denied: ", &[text]),
                ..Response::default()
            },
            ..Admission::passed(Outcome::WouldDeny, "")
        },
        Mode::Audit => Admission::passed(Outcome::WouldDeny, ""),
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

fn audit(policy: &Policy, outcome: Outcome, because: &str) -> Vec<(&'static str, String)> {
    vec![
        ("policy", policy.name.to_string()),
        ("outcome", outcome.as_str().to_owned()),
        ("because", because.to_owned()),
    ]
}
