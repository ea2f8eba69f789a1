//! What a pod is guaranteed about the pods that it shares GPUs with, and which tenant it belongs
//! to.

use std::fmt;

use super::limits::Limits;
use super::model::{Mode, Policy};
use super::set::{Governed, PolicySet};
use crate::k8s::LabelSource;
use crate::k8s::Labels;

/// What a pod is guaranteed about the pods that it shares GPUs with.
///
/// It follows from the pod's policy and namespace, never from fields that the pod's owner can
/// change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guarantees {
    /// The limits of the pod's policy; empty unless the policy is in mode Enforce.
    pub limits: Limits,
    pub tenant: Tenant,
}

/// The tenant of a pod. A label value `a` and a namespace `a` are different tenants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tenant {
    /// The namespace itself.
    Namespace(Box<str>),
    /// Named by a label of the namespace.
    Label { key: Box<str>, value: Box<str> },
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tenant::Namespace(name) => write!(f, "namespace {name}"),
            Tenant::Label { key, value } => write!(f, "{key}={value}"),
        }
    }
}

impl Guarantees {
    /// No limits; the namespace is the tenant.
    pub fn without_limits(namespace: &str) -> Self {
        Guarantees {
            limits: Limits::default(),
            tenant: Tenant::Namespace(namespace.into()),
        }
    }

    /// The guarantees under a known policy, in a namespace with these labels.
    ///
    /// A policy in mode Warn or Audit guarantees nothing. Only the namespace's labels name the
    /// tenant: the owner of a pod can change the pod's labels while it runs.
    pub fn under_policy(policy: Option<&Policy>, namespace: &str, namespace_labels: Option<&Labels>) -> Self {
        let policy = policy.filter(|policy| policy.mode == Mode::Enforce);
        let labelled_tenant = policy.and_then(|policy| {
            let key = policy.tenant_label.as_deref()?;
            let value = namespace_labels?.label(key).filter(|value| !value.is_empty())?;
            Some(Tenant::Label {
                key: key.into(),
                value: value.into(),
            })
        });
        Guarantees {
            limits: policy.map_or_else(Limits::default, |policy| policy.limits),
            tenant: labelled_tenant.unwrap_or_else(|| Tenant::Namespace(namespace.into())),
        }
    }

    /// The guarantees of a pod under whichever policy of the set governs it.
    pub fn for_pod(
        policies: &PolicySet,
        namespace: &str,
        namespace_labels: Option<&Labels>,
        pod_labels: &impl LabelSource,
    ) -> Self {
        let policy = match policies.governing_in(namespace, namespace_labels, pod_labels) {
            Governed::By(policy) => Some(policy),
            Governed::ByNone | Governed::ByUnknownPolicy(_) | Governed::ByUnknownNamespace => None,
        };
        Guarantees::under_policy(policy, namespace, namespace_labels)
    }
}
