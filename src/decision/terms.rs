//! What pods are promised of their neighbours: from policies and namespaces to terms.

use std::sync::Arc;

use super::governance::governing_in;
use crate::gpu::Limits;
use crate::inventory::{Inventory, Ledger, PodRecord, Promising, Tenant, Terms};
use crate::object::LabelSource;
use crate::object::text::Labels;
use crate::policy::{Governed, Mode, Policy, PolicySet};

/// The terms of a pod in a namespace, under the policy that governs it.
///
/// A policy that only watches promises nothing. The tenant is named by the namespace and never by the pod, whose labels its owner can
/// change while it runs.
pub fn terms_of(policy: Option<&Policy>, namespace: &str, labels: Option<&Labels>) -> Terms {
    let policy = policy.filter(|policy| policy.mode == Mode::Enforce);
    let named = policy.and_then(|policy| {
        let key = policy.tenant_label.as_deref()?;
        let value = labels?.label(key).filter(|value| !value.is_empty())?;
        Some(Tenant::Label {
            key: key.into(),
            value: value.into(),
        })
    });
    Terms {
        limits: policy.map_or_else(Limits::default, |policy| policy.limits),
        tenant: named.unwrap_or_else(|| Tenant::Namespace(namespace.into())),
    }
}

/// The terms that a set of policies gives.
#[derive(Clone, Debug)]
pub struct Promises(pub Arc<PolicySet>);

impl Promising for Promises {
    fn terms(&self, pod: &PodRecord, namespace: Option<&Labels>) -> Terms {
        let policy = match governing_in(&self.0, &pod.namespace, namespace, &pod.wish.labels) {
            Governed::By(policy) => Some(policy),
            Governed::ByNone | Governed::ByUnknown(_) | Governed::ByUnknownNamespace => None,
        };
        terms_of(policy, &pod.namespace, namespace)
    }
}

/// The inventory of a ledger under these policies.
pub fn promised(mut ledger: Ledger, policies: &PolicySet) -> Inventory {
    ledger.promise(Arc::new(Promises(Arc::new(policies.clone()))));
    ledger.refresh_awaited();
    ledger.inventory().clone()
}
