//! What a pod gets: asked of the webhook's own function, as the API server would ask it.

use anyhow::Context as _;
use serde_json::Value;
use serde_json::value::to_raw_value;

use apportion_core::admission::review::Request;
use apportion_core::admission::{AdmissionContext, AdmissionOutcome, admit};
use apportion_core::inventory::{Inventory, PendingAdmissions, PodRecord};
use apportion_core::k8s::Pod;
use apportion_core::patch;
use apportion_core::policy::PolicySet;
use apportion_core::policy::governance::OnUnknown;

/// What a pod gets.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The webhook's word for it.
    pub outcome: AdmissionOutcome,
    /// The strategy, where one was chosen; also by a policy that only watches.
    pub strategy: Option<&'static str>,
    /// The policy.
    pub policy: Option<String>,
    /// Why; of a denial, what the user reads.
    pub because: String,
    /// What the pod is told.
    pub warnings: Vec<String>,
    /// Whether it is turned away.
    pub denied: bool,
    /// The pod, changed.
    pub pod: Value,
}

impl Verdict {
    /// That of `pod` when it is created now.
    pub fn of(pod: &Value, namespace: &str, policies: &PolicySet, inventory: &Inventory) -> anyhow::Result<Self> {
        let raw = to_raw_value(pod)?;
        let request = Request::trial(&raw, namespace);
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
        // Under a policy that only watches the answer holds no patch.
        patch::apply(&mut pod, &admission.response.patch).context("the patch does not apply")?;
        Ok(Verdict {
            outcome: admission.outcome,
            strategy: admission.strategy.map(apportion_core::gpu::Strategy::as_str),
            policy: admission.policy.map(|policy| policy.name.to_string()),
            because: match &admission.response.denial {
                Some(denial) => denial.message.clone(),
                None => admission.because,
            },
            warnings: admission.response.warnings,
            denied: admission.response.denial.is_some(),
            pod,
        })
    }

    /// What the inventory would remember of the pod.
    pub fn record(&self) -> anyhow::Result<Option<PodRecord>> {
        let text = self.pod.to_string();
        let pod: Pod<'_> = serde_json::from_str(&text).context("the patched pod can not be read")?;
        Ok(PodRecord::of(&pod))
    }
}
