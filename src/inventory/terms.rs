//! On what terms a pod is on a node, or would be.

use std::fmt;

use super::record::PodRecord;
use crate::gpu::Limits;
use crate::object::text::Labels;

/// What a pod is promised of its neighbours, and whose it is.
///
/// Follows from the policy that governs the pod and from its namespace, so whoever knows both says it (`decision::terms_of`); the
/// inventory holds pods to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Terms {
    /// What its policy promises it; nothing where none enforces.
    pub limits: Limits,
    /// Its tenant: the value of a label of its namespace, or the namespace itself.
    pub tenant: Tenant,
}

/// Whose a pod is. Told apart by what names it: a team `a` is not the namespace `a`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tenant {
    /// That of a namespace.
    Namespace(Box<str>),
    /// Named by a label of the namespace.
    Label {
        /// The label's key.
        key: Box<str>,
        /// Its value.
        value: Box<str>,
    },
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tenant::Namespace(name) => write!(f, "namespace {name}"),
            Tenant::Label { key, value } => write!(f, "{key}={value}"),
        }
    }
}

impl Terms {
    /// Those of a pod that no policy promises anything.
    pub fn none(namespace: &str) -> Self {
        Terms {
            limits: Limits::default(),
            tenant: Tenant::Namespace(namespace.into()),
        }
    }
}

/// Who knows what pods are promised.
pub trait Promising: std::fmt::Debug + Send + Sync {
    /// The terms of a pod in a namespace with these labels; `None` as long as the namespace is not known.
    fn terms(&self, pod: &PodRecord, namespace: Option<&Labels>) -> Terms;
}
