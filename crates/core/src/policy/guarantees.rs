//! What a policy guarantees a pod about its neighbours, and whose pod it is.

use std::fmt;

use super::governance::governing_in;
use super::limits::Limits;
use super::model::{Mode, Policy};
use super::set::{Governed, PolicySet};
use crate::k8s::LabelSource;
use crate::k8s::text::Labels;

/// What a pod is guaranteed about its neighbours.
///
/// It follows from the policy that governs the pod and from the pod's namespace, never from what the pod's owner can change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guarantees {
    /// The limits of its policy; empty unless a policy enforces them.
    pub limits: Limits,
    /// The tenant: the value of a label of its namespace, or the namespace itself.
    pub tenant: Tenant,
}

/// Whose a pod is. The team `a` and the namespace `a` are different tenants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tenant {
    /// That of a namespace.
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
    /// Those of a pod without limits.
    pub fn none(namespace: &str) -> Self {
        Guarantees {
            limits: Limits::default(),
            tenant: Tenant::Namespace(namespace.into()),
        }
    }

    /// Those of a pod in a namespace with these labels, under the policy that governs it.
    ///
    /// A policy in mode Warn or Audit guarantees nothing. The namespace names the tenant, never the pod, whose labels its owner can
    /// change while it runs.
    pub fn under(policy: Option<&Policy>, namespace: &str, labels: Option<&Labels>) -> Self {
        let policy = policy.filter(|policy| policy.mode == Mode::Enforce);
        let named = policy.and_then(|policy| {
            let key = policy.tenant_label.as_deref()?;
            let value = labels?.label(key).filter(|value| !value.is_empty())?;
            Some(Tenant::Label {
                key: key.into(),
                value: value.into(),
            })
        });
        Guarantees {
            limits: policy.map_or_else(Limits::default, |policy| policy.limits),
            tenant: named.unwrap_or_else(|| Tenant::Namespace(namespace.into())),
        }
    }

    /// Those of a pod with these labels, under the policy of the set that governs it.
    pub fn from_set(
        policies: &PolicySet,
        namespace: &str,
        namespace_labels: Option<&Labels>,
        pod_labels: &impl LabelSource,
    ) -> Self {
        let policy = match governing_in(policies, namespace, namespace_labels, pod_labels) {
            Governed::By(policy) => Some(policy),
            Governed::ByNone | Governed::ByUnknown(_) | Governed::ByUnknownNamespace => None,
        };
        Guarantees::under(policy, namespace, namespace_labels)
    }
}
