//! A set of policies, and which of them governs a pod.

use super::model::{Policy, PolicyName};
use crate::gpu::names::POLICY_LABEL;
use crate::k8s::LabelSource;
use crate::k8s::Labels;

/// Namespaces that no policy governs. Without the exemption, a control plane pod could wait for the
/// webhook while the webhook waits for the control plane.
pub const EXEMPT_NAMESPACES: &[&str] = &["kube-system"];

pub fn is_exempt(namespace: &str) -> bool {
    EXEMPT_NAMESPACES.contains(&namespace)
}

/// What to do with a GPU pod whose namespace is unknown, or names a policy that does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Deny the pod; its controller tries again.
    #[default]
    Refuse,
    /// Admit the pod unchanged, with a warning.
    Admit,
}

/// Policies in order of precedence: by descending priority, then by name.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
}

/// Which policy governs a pod.
#[derive(Clone, Copy, Debug)]
pub enum Governed<'p> {
    ByNone,
    By(&'p Policy),
    /// The namespace label names a policy that does not exist.
    ByUnknownPolicy(&'p str),
    /// The namespace is not in the inventory yet.
    ByUnknownNamespace,
}

impl PolicySet {
    /// A set of valid policies with distinct names.
    pub fn new(mut policies: Vec<Policy>) -> Self {
        policies.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        PolicySet { policies }
    }

    /// Every policy, in order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    pub fn get(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.name.as_str() == name)
    }

    pub fn len(&self) -> usize {
        self.policies.len()
    }

    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Whether some policy isolates pods, so that pods without GPU requests are governed too.
    pub fn isolates(&self) -> bool {
        self.policies.iter().any(|policy| policy.isolation.is_enabled())
    }

    /// Which policy governs a pod. Pass `None` for the labels of a namespace that is not known yet.
    pub fn governing_in<'s>(
        &'s self,
        namespace: &str,
        namespace_labels: Option<&'s Labels>,
        pod_labels: &impl LabelSource,
    ) -> Governed<'s> {
        if is_exempt(namespace) || self.is_empty() {
            return Governed::ByNone;
        }
        match namespace_labels {
            Some(labels) => self.match_labels(labels, pod_labels),
            None => Governed::ByUnknownNamespace,
        }
    }

    /// Which policy matches these labels. Unlike [`PolicySet::governing_in`], knows nothing of
    /// exempt namespaces.
    ///
    /// A namespace label that names no policy is an error (`trainning`); it does not mean that no
    /// policy governs.
    pub fn match_labels<'s>(
        &'s self,
        namespace_labels: &'s impl LabelSource,
        pod_labels: &impl LabelSource,
    ) -> Governed<'s> {
        let matching = self
            .policies
            .iter()
            .find(|policy| policy.matches(namespace_labels, pod_labels));
        if let Some(policy) = matching {
            return Governed::By(policy);
        }
        match namespace_labels.label(POLICY_LABEL) {
            Some(name) if !name.is_empty() && self.get(name).is_none() => Governed::ByUnknownPolicy(name),
            _ => Governed::ByNone,
        }
    }

    /// The names of all policies, sorted and separated by commas.
    pub fn names(&self) -> String {
        let mut names: Vec<&PolicyName> = self.policies.iter().map(|policy| &policy.name).collect();
        names.sort();
        names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::Labels;
    use crate::policy::parse::parse;

    fn set(specs: &[(&str, &str)]) -> PolicySet {
        let policy = |(name, spec): &(&str, &str)| {
            let spec = format!("{{strategies: [{{strategy: mps}}]{spec}}}");
            let text = apportion_testing::Policy::new(name, &spec).to_string();
            parse("t.yaml", &text).unwrap().remove(0)
        };
        PolicySet::new(specs.iter().map(policy).collect())
    }

    #[test]
    fn selectors_then_priority_then_name_decide() {
        let set = set(&[
            (
                "zz-batch",
                ", priority: 5, namespaceSelector: {}, podSelector: {matchLabels: {kind: batch}}",
            ),
            (
                "aa-batch",
                ", priority: 5, namespaceSelector: {}, podSelector: {matchLabels: {kind: batch}}",
            ),
            ("training", ""),
            (
                "team",
                ", namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}",
            ),
        ]);
        for (namespace, pod, expected) in [
            (vec![("apportion.dev/policy", "training")], vec![], "training"),
            (
                vec![("apportion.dev/policy", "training")],
                vec![("kind", "batch")],
                "aa-batch",
            ),
            (
                vec![("apportion.dev/policy", "training"), ("team", "a")],
                vec![],
                "team",
            ),
            (vec![("team", "c")], vec![], "none"),
            (vec![("apportion.dev/policy", "trainning")], vec![], "unknown trainning"),
            (vec![("apportion.dev/policy", "")], vec![], "none"),
            (vec![("apportion.dev/policy", "team")], vec![], "none"),
        ] {
            let (namespace, pod) = (Labels::from_iter(namespace), Labels::from_iter(pod));
            let governed = match set.match_labels(&namespace, &pod) {
                Governed::ByNone => "none".to_owned(),
                Governed::By(policy) => policy.name.to_string(),
                Governed::ByUnknownPolicy(name) => format!("unknown {name}"),
                Governed::ByUnknownNamespace => unreachable!("the namespace is given"),
            };
            assert_eq!(governed, expected, "{namespace:?}");
        }
    }
}
