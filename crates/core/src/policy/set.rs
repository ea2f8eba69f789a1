//! All policies together, and which of them governs a pod.

use super::model::{Policy, PolicyName};
use crate::gpu::names::POLICY_LABEL;
use crate::k8s::LabelSource;

/// Policies, the one that governs first: by priority downwards, then by name.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
}

/// Who governs a pod.
#[derive(Clone, Copy, Debug)]
pub enum Governed<'p> {
    /// No policy does.
    ByNone,
    /// This one.
    By(&'p Policy),
    /// The namespace's label names a policy that does not exist.
    ByUnknown(&'p str),
    /// The namespace itself is not known yet.
    ByUnknownNamespace,
}

impl PolicySet {
    /// A set of checked policies with different names.
    pub fn new(mut policies: Vec<Policy>) -> Self {
        policies.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        PolicySet { policies }
    }

    /// Every policy, in the order in which they govern.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// The policy of that name.
    pub fn get(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.name.as_str() == name)
    }

    /// The number of policies.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is no policy.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Whether some policy keeps pods from GPUs that they were not given, so that pods without GPU requests concern it too.
    pub fn isolates(&self) -> bool {
        self.policies.iter().any(|policy| policy.isolation.is_any())
    }

    /// Who governs a pod with these labels in a namespace with those.
    ///
    /// A namespace whose label names no policy is an error that somebody made (`trainning`), not a wish to be left alone.
    pub fn governing<'s>(&'s self, namespace: &'s impl LabelSource, pod: &impl LabelSource) -> Governed<'s> {
        if let Some(policy) = self.policies.iter().find(|policy| policy.matches(namespace, pod)) {
            return Governed::By(policy);
        }
        match namespace.label(POLICY_LABEL) {
            Some(name) if !name.is_empty() && self.get(name).is_none() => Governed::ByUnknown(name),
            _ => Governed::ByNone,
        }
    }

    /// The names, for a message.
    pub fn names(&self) -> String {
        let mut names: Vec<&PolicyName> = self.policies.iter().map(|policy| &policy.name).collect();
        names.sort();
        names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::text::Labels;
    use crate::policy::parse::parse;

    fn set(specs: &[(&str, &str)]) -> PolicySet {
        PolicySet::new(
            specs
                .iter()
                .map(|(name, spec)| {
                    let text = format!(
                        "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec: {{strategies: [{{strategy: mps}}]{spec}}}\n"
                    );
                    parse("t.yaml", &text).unwrap().remove(0)
                })
                .collect(),
        )
    }

    #[test]
    fn label_then_priority_then_name_decide() {
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
            let governed = match set.governing(&namespace, &pod) {
                Governed::ByNone => "none".to_owned(),
                Governed::By(policy) => policy.name.to_string(),
                Governed::ByUnknown(name) => format!("unknown {name}"),
                Governed::ByUnknownNamespace => unreachable!("the namespace is given"),
            };
            assert_eq!(governed, expected, "{namespace:?}");
        }
    }
}
