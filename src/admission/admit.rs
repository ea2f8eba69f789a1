//! From a request to a response: who governs, what is decided, and what the policy's mode makes of it.

use super::response::{Refusal, Response};
use super::review::Request;
use super::traps::traps;
use super::workload;
use crate::decision::{Decision, Denial, Grant, OnUnknown, Question, decide, governing, is_exempt};
use crate::gpu::{PodDemand, Strategy};
use crate::inventory::{Claim, Claims, Inventory};
use crate::object::Pod;
use crate::object::text::Labels;
use crate::policy::{Governed, Mode, Policy, PolicySet};
use crate::rewrite;

/// What an answer depends on besides the request.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c, 'k> {
    /// The policies.
    pub policies: &'c PolicySet,
    /// The cluster.
    pub inventory: &'c Inventory,
    /// What was promised a moment ago.
    pub claims: &'k Claims,
    /// What to do where the cluster is not known well enough.
    pub on_unknown: OnUnknown,
    /// Our own namespace, whose pods pass: we would wait for ourselves.
    pub own_namespace: Option<&'c str>,
    /// The scheduler that governed GPU pods are given to.
    pub scheduler_name: Option<&'c str>,
}

/// What was done with a pod, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Not the creation of a pod.
    Skipped,
    /// A workload, whose pods were spoken of.
    Advised,
    /// No policy governs it, or it asks for no GPU.
    Ungoverned,
    /// It was as its policy wants it.
    Unchanged,
    /// It was rewritten.
    Rewritten,
    /// It was turned away.
    Denied,
    /// It would have been rewritten: mode Warn or Audit.
    WouldRewrite,
    /// It would have been turned away: mode Warn or Audit.
    WouldDeny,
    /// Its namespace or policy is not known, and it was turned away.
    UnknownRefused,
    /// Its namespace or policy is not known, and it passed.
    UnknownAdmitted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 10] = [
        Outcome::Skipped,
        Outcome::Advised,
        Outcome::Ungoverned,
        Outcome::Unchanged,
        Outcome::Rewritten,
        Outcome::Denied,
        Outcome::WouldRewrite,
        Outcome::WouldDeny,
        Outcome::UnknownRefused,
        Outcome::UnknownAdmitted,
    ];

    /// The value of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Skipped => "skipped",
            Outcome::Advised => "advised",
            Outcome::Ungoverned => "ungoverned",
            Outcome::Unchanged => "unchanged",
            Outcome::Rewritten => "rewritten",
            Outcome::Denied => "denied",
            Outcome::WouldRewrite => "would_rewrite",
            Outcome::WouldDeny => "would_deny",
            Outcome::UnknownRefused => "unknown_refused",
            Outcome::UnknownAdmitted => "unknown_admitted",
        }
    }
}

/// The answer, and what is to be known of it here.
#[derive(Debug)]
pub struct Admission<'c> {
    /// What goes back.
    pub response: Response,
    /// What was done.
    pub outcome: Outcome,
    /// The policy that governs.
    pub policy: Option<&'c Policy>,
    /// The strategy chosen.
    pub strategy: Option<Strategy>,
    /// Why, for the log.
    pub because: String,
    /// `namespace/name`, for the log.
    pub pod: String,
    /// What was promised, to be counted until the pod is seen.
    pub claim: Option<Claim>,
}

impl Admission<'_> {
    pub(super) fn passed(outcome: Outcome, because: impl Into<String>) -> Self {
        Admission {
            response: Response::default(),
            outcome,
            policy: None,
            strategy: None,
            because: because.into(),
            pod: String::new(),
            claim: None,
        }
    }
}

/// Answers a request.
pub fn admit<'c>(request: &Request<'_>, context: &Context<'c, '_>) -> Admission<'c> {
    let is_workload = workload::is_workload(request);
    if !is_workload && !request.creates_pod() {
        return Admission::passed(Outcome::Skipped, "not the creation of a pod");
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if is_exempt(namespace) || context.own_namespace == Some(namespace) {
        return Admission::passed(Outcome::Ungoverned, format!("namespace {namespace} is exempt"));
    }
    if is_workload {
        return workload::advise(request, context);
    }
    let labels = context.inventory.namespace(namespace);
    let parsed = match request.object {
        Some(object) => serde_json::from_str::<Pod<'_>>(object.get()).map_err(|error| error.to_string()),
        None => Err("the request holds no object".to_owned()),
    };
    let mut admission = match parsed {
        Ok(pod) => {
            let admission = judge(&pod, namespace, request.dry_run.unwrap_or(false), context);
            return Admission {
                pod: format!("{namespace}/{}", pod.metadata.display_name()),
                ..admission
            };
        }
        // Not ours to refuse where no policy can apply; a patch on what was not understood is never sent.
        Err(_) if !may_be_governed(labels, context.policies) => Admission::passed(
            Outcome::Ungoverned,
            "unreadable pod in a namespace that no policy governs",
        ),
        Err(error) => {
            let message = format!("apportion: the pod can not be read: {error}");
            refuse(Outcome::Denied, 422, "Invalid", message)
        }
    };
    if admission.pod.is_empty() {
        admission.pod = format!("{namespace}/?");
    }
    admission
}

fn may_be_governed(labels: Option<&Labels>, policies: &PolicySet) -> bool {
    match labels {
        None => !policies.is_empty(),
        Some(labels) => {
            policies.iter().any(|policy| policy.namespaces.matches(labels))
                || matches!(policies.governing(labels, &Labels::default()), Governed::ByUnknown(_))
        }
    }
}

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
                let Decision { outcome, .. } = decide(&Question {
                    pod,
                    demand: &demand,
                    policy,
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
        OnUnknown::Refuse => refuse(
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

fn refuse<'c>(outcome: Outcome, code: u16, reason: &'static str, message: String) -> Admission<'c> {
    Admission {
        response: Response {
            denial: Some(Refusal {
                code,
                reason,
                message: message.clone(),
            }),
            ..Response::default()
        },
        ..Admission::passed(outcome, message)
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
        Mode::Enforce => refuse(
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
