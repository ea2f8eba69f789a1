//! Admits a pod without a server: the webhook's own function, called as the API server would.

use serde_json::Value;
use serde_json::value::to_raw_value;

use apportion_core::admission::review::Request;
use apportion_core::admission::{AdmissionContext, AdmissionOutcome, admit};
use apportion_core::inventory::{Inventory, PendingAdmissions, PodRecord};
use apportion_core::k8s::Pod;
use apportion_core::patch::{self, PatchError};
use apportion_core::policy::OnUnknown;
use apportion_core::policy::PolicySet;

/// What admission makes of a pod.
#[derive(Clone, Debug)]
pub struct DryRun {
    pub outcome: AdmissionOutcome,
    /// The chosen strategy, also under a policy that does not enforce.
    pub strategy: Option<&'static str>,
    /// The name of the governing policy.
    pub policy: Option<String>,
    /// The reason; for a denial, the message that the user sees.
    pub because: String,
    pub warnings: Vec<String>,
    pub denied: bool,
    /// The pod after the patch.
    pub pod: Value,
}

/// Why a dry run failed.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    #[error(transparent)]
    Serialize(serde_json::Error),
    #[error("the patch does not apply")]
    Patch(#[source] PatchError),
    #[error("the patched pod cannot be read")]
    PatchedPod(#[source] serde_json::Error),
}

impl DryRun {
    /// Admits `pod` as if it were created now.
    pub fn of(pod: &Value, namespace: &str, policies: &PolicySet, inventory: &Inventory) -> Result<Self, DryRunError> {
        let raw = to_raw_value(pod).map_err(DryRunError::Serialize)?;
        let request = Request::dry_run_creation(&raw, namespace);
        let pending = PendingAdmissions::default();
        let admission = admit(
            &request,
            &AdmissionContext {
                policies,
                inventory,
                pending: &pending,
                on_unknown: OnUnknown::default(),
                own_namespace: None,
                scheduler_name: None,
            },
        );
        let mut pod = pod.clone();
        // The patch is empty under a policy that does not enforce.
        patch::apply(&mut pod, &admission.response.patch).map_err(DryRunError::Patch)?;
        Ok(DryRun {
            outcome: admission.outcome,
            strategy: admission.strategy.map(apportion_core::gpu::Strategy::as_str),
            policy: admission.policy.map(|policy| policy.name.to_string()),
            because: match &admission.response.denial {
                Some(denial) => denial.message.clone(),
                None => admission.reason,
            },
            warnings: admission.response.warnings,
            denied: admission.response.denial.is_some(),
            pod,
        })
    }

    /// What the inventory would keep of the patched pod; `None` if it requests no GPU.
    pub fn record(&self) -> Result<Option<PodRecord>, DryRunError> {
        let text = self.pod.to_string();
        let pod: Pod<'_> = serde_json::from_str(&text).map_err(DryRunError::PatchedPod)?;
        Ok(PodRecord::from_pod(&pod))
    }
}
