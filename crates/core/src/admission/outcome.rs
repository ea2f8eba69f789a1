//! What an answer depends on, and what came of it.

use super::response::{Rejection, Response};
use crate::gpu::Strategy;
use crate::inventory::{Inventory, PendingAdmission, PendingAdmissions};
use crate::policy::governance::OnUnknown;
use crate::policy::{Policy, PolicySet};

/// What an answer depends on besides the request.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionContext<'c, 'k> {
    /// The policies.
    pub policies: &'c PolicySet,
    /// The cluster.
    pub inventory: &'c Inventory,
    /// What was promised a moment ago.
    pub pending: &'k PendingAdmissions,
    /// What to do where the cluster is not known well enough.
    pub on_unknown: OnUnknown,
    /// Our own namespace, whose pods pass: we would wait for ourselves.
    pub own_namespace: Option<&'c str>,
    /// The scheduler that governed GPU pods are given to.
    pub scheduler_name: Option<&'c str>,
}

/// What was done with a pod, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdmissionOutcome {
    /// Not the creation of a pod, nor a change of one that a policy has a say in.
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

impl AdmissionOutcome {
    /// Every outcome.
    pub const ALL: [AdmissionOutcome; 10] = [
        AdmissionOutcome::Skipped,
        AdmissionOutcome::Advised,
        AdmissionOutcome::Ungoverned,
        AdmissionOutcome::Unchanged,
        AdmissionOutcome::Rewritten,
        AdmissionOutcome::Denied,
        AdmissionOutcome::WouldRewrite,
        AdmissionOutcome::WouldDeny,
        AdmissionOutcome::UnknownRefused,
        AdmissionOutcome::UnknownAdmitted,
    ];

    /// The value of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            AdmissionOutcome::Skipped => "skipped",
            AdmissionOutcome::Advised => "advised",
            AdmissionOutcome::Ungoverned => "ungoverned",
            AdmissionOutcome::Unchanged => "unchanged",
            AdmissionOutcome::Rewritten => "rewritten",
            AdmissionOutcome::Denied => "denied",
            AdmissionOutcome::WouldRewrite => "would_rewrite",
            AdmissionOutcome::WouldDeny => "would_deny",
            AdmissionOutcome::UnknownRefused => "unknown_refused",
            AdmissionOutcome::UnknownAdmitted => "unknown_admitted",
        }
    }
}

/// The answer, and what is to be known of it here.
#[derive(Debug)]
pub struct Admission<'c> {
    /// What goes back.
    pub response: Response,
    /// What was done.
    pub outcome: AdmissionOutcome,
    /// The policy that governs.
    pub policy: Option<&'c Policy>,
    /// The strategy chosen.
    pub strategy: Option<Strategy>,
    /// Why, for the log.
    pub because: String,
    /// `namespace/name`, for the log.
    pub pod: String,
    /// What was promised, to be counted until the pod is seen.
    pub pending_admission: Option<PendingAdmission>,
}

impl Admission<'_> {
    pub(super) fn passed(outcome: AdmissionOutcome, because: impl Into<String>) -> Self {
        Admission {
            response: Response::default(),
            outcome,
            policy: None,
            strategy: None,
            because: because.into(),
            pod: String::new(),
            pending_admission: None,
        }
    }

    /// A refusal, in a sentence that the user reads.
    pub(super) fn refused(outcome: AdmissionOutcome, code: u16, reason: &'static str, message: String) -> Self {
        Admission {
            response: Response {
                denial: Some(Rejection {
                    code,
                    reason,
                    message: message.clone(),
                }),
                ..Response::default()
            },
            ..Admission::passed(outcome, message)
        }
    }
}
