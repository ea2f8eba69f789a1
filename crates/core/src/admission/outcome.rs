//! The state that an answer depends on, and the answer with its outcome.

use super::response::{Rejection, Response};
use crate::gpu::Strategy;
use crate::inventory::{Inventory, PendingAdmission, PendingAdmissions};
use crate::policy::OnUnknown;
use crate::policy::{Policy, PolicySet};

/// The state that an answer depends on, in addition to the request.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionContext<'c, 'k> {
    pub policies: &'c PolicySet,
    pub inventory: &'c Inventory,
    /// Admissions whose pods the inventory does not have yet.
    pub pending: &'k PendingAdmissions,
    /// What to do with pods of unknown namespaces and policies.
    pub on_unknown: OnUnknown,
    /// The namespace of Apportion itself. Its pods are allowed, because otherwise Apportion could
    /// not start without Apportion.
    pub own_namespace: Option<&'c str>,
    /// The value of `spec.schedulerName` for governed GPU pods; unchanged if `None`.
    pub scheduler_name: Option<&'c str>,
}

/// What happened to a pod, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdmissionOutcome {
    /// Neither a pod creation nor a pod update that a policy can restrict.
    Skipped,
    /// A workload. Its user was warned about its pods.
    Advised,
    /// No policy governs the pod, or it requests no GPU.
    Ungoverned,
    /// The pod already complies with its policy.
    Unchanged,
    Rewritten,
    Denied,
    /// The policy is in mode `Warn` or `Audit`.
    WouldRewrite,
    /// The policy is in mode `Warn` or `Audit`.
    WouldDeny,
    /// Denied because the namespace or its policy is unknown.
    UnknownRefused,
    /// Allowed although the namespace or its policy is unknown.
    UnknownAdmitted,
}

impl AdmissionOutcome {
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

    /// The value of the metric's `outcome` label.
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

/// The answer, and what the webhook itself records about it.
#[derive(Debug)]
pub struct Admission<'c> {
    pub response: Response,
    pub outcome: AdmissionOutcome,
    /// The governing policy.
    pub policy: Option<&'c Policy>,
    pub strategy: Option<Strategy>,
    /// For the log.
    pub reason: String,
    /// `namespace/name`, for the log.
    pub pod: String,
    /// Counts as taken until the inventory has the pod.
    pub pending_admission: Option<PendingAdmission>,
}

impl Admission<'_> {
    pub(super) fn allowed(outcome: AdmissionOutcome, reason: impl Into<String>) -> Self {
        Admission {
            response: Response::default(),
            outcome,
            policy: None,
            strategy: None,
            reason: reason.into(),
            pod: String::new(),
            pending_admission: None,
        }
    }

    /// `message` is for the user; `status_reason` is a `metav1.StatusReason`.
    pub(super) fn denied(outcome: AdmissionOutcome, code: u16, status_reason: &'static str, message: String) -> Self {
        Admission {
            response: Response {
                denial: Some(Rejection {
                    code,
                    reason: status_reason,
                    message: message.clone(),
                }),
                ..Response::default()
            },
            ..Admission::allowed(outcome, message)
        }
    }
}
