//! Who governs a pod, as far as the cluster is known.

use crate::k8s::LabelSource;
use crate::k8s::text::Labels;
use crate::policy::{Governed, PolicySet};

/// Namespaces whose pods pass untouched whatever a policy says: a control plane that waits for a webhook that waits for the control
/// plane helps nobody.
pub const EXEMPT_NAMESPACES: &[&str] = &["kube-system"];

/// What to do with a GPU pod whose namespace is not known yet, or names a policy that does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Turn it away: its controller tries again.
    #[default]
    Refuse,
    /// Let it pass as it is, and say so.
    Admit,
}

/// Whether no policy applies to a namespace.
pub fn is_exempt(namespace: &str) -> bool {
    EXEMPT_NAMESPACES.contains(&namespace)
}

/// Who governs a pod with these labels in a namespace with those, `None` as long as the namespace is not known.
pub fn governing_in<'c>(
    policies: &'c PolicySet,
    namespace: &str,
    namespace_labels: Option<&'c Labels>,
    pod_labels: &impl LabelSource,
) -> Governed<'c> {
    if is_exempt(namespace) || policies.is_empty() {
        return Governed::ByNone;
    }
    match namespace_labels {
        Some(labels) => policies.governing(labels, pod_labels),
        None => Governed::ByUnknownNamespace,
    }
}
