//! Where a pod may run, by the labels and names of nodes: its `nodeSelector` and its required node affinity.
//!
//! Kubernetes reads them as `nodeSelector AND (term OR term OR ...)`, and a term as the conjunction of its expressions. A term
//! without any expression matches **no** node (`component-helpers/scheduling/corev1/nodeaffinity`), so adding one to it would
//! widen it.

use super::entailment::{implies, satisfiable};
use super::pod::{NodeSelectorTerm, Pod};
use super::selector::{Operator, Requirement};
use super::text::LabelSource;

/// The only field that `matchFields` may name.
pub const FIELD_NODE_NAME: &str = "metadata.name";

/// A pod's own constraints on nodes, as a disjunction of conjunctions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Constraints<'a> {
    selector: Vec<Requirement<'a>>,
    /// `None` when the pod has no required node affinity.
    terms: Option<Vec<NodeSelectorTerm<'a>>>,
}

impl<'a> Constraints<'a> {
    /// Those of `pod`.
    pub fn of(pod: &Pod<'a>) -> Self {
        let selector = pod
            .spec
            .node_selector
            .iter()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            })
            .collect();
        Constraints {
            selector,
            terms: pod.spec.required_node_terms().map(<[_]>::to_vec),
        }
    }

    /// A copy that owns its strings.
    pub fn into_owned(self) -> Constraints<'static> {
        Constraints {
            selector: self.selector.into_iter().map(Requirement::into_owned).collect(),
            terms: self
                .terms
                .map(|terms| terms.into_iter().map(NodeSelectorTerm::into_owned).collect()),
        }
    }

    /// Whether the pod may run anywhere.
    pub fn is_unconstrained(&self) -> bool {
        self.selector.is_empty() && self.terms.is_none()
    }

    /// Whether the pod may run on a node of this name with these labels.
    pub fn admit(&self, name: &str, labels: &impl LabelSource) -> bool {
        self.selector.iter().all(|r| r.matches(labels))
            && self
                .terms
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term_admits(term, name, labels)))
    }

    /// These and `requirements`: the constraints of the pod once the requirements are written into it.
    #[must_use]
    pub fn and(&self, requirements: &[Requirement<'a>]) -> Self {
        let mut narrower = self.clone();
        narrower.selector.extend_from_slice(requirements);
        narrower
    }

    /// Whether every node that the pod's constraints admit satisfies `requirement`.
    pub fn imply(&self, requirement: &Requirement<'_>) -> bool {
        self.conjunctions(|all| implies(all, requirement))
            .into_iter()
            .all(|implied| implied)
    }

    /// Whether some node could satisfy both the pod's constraints and all of `requirements`.
    pub fn allow(&self, requirements: &[Requirement<'_>]) -> bool {
        self.conjunctions(|all| satisfiable(all.iter().copied().chain(requirements)))
            .into_iter()
            .any(|satisfiable| satisfiable)
    }

    /// The values that `key` can have, when every alternative that a node can meet pins it by `In`; else `None`.
    pub fn pinned_values(&self, key: &str) -> Option<Vec<String>> {
        let pins = self.conjunctions(|all| {
            let on_key = || all.iter().filter(|r| &*r.key == key);
            let list = on_key().find(|r| r.operator == Operator::In)?;
            let values = list.values.iter().map(ToString::to_string);
            Some(
                values
                    .filter(|value| on_key().all(|r| r.matches_value(Some(value))))
                    .collect::<Vec<_>>(),
            )
        });
        let mut values = pins.into_iter().collect::<Option<Vec<_>>>()?.concat();
        values.sort_unstable();
        values.dedup();
        if values.is_empty() { None } else { Some(values) }
    }

    /// The requirement of the pod that stands against `requirements`, to name in a message.
    pub fn against(&self, requirements: &[Requirement<'_>]) -> Option<String> {
        let clash = |own: &Requirement<'_>| requirements.iter().any(|r| r.key == own.key && !satisfiable([own, r]));
        self.selector
            .iter()
            .map(|own| ("spec.nodeSelector", own))
            .chain(self.terms.iter().flatten().flat_map(|term| {
                term.match_expressions()
                    .iter()
                    .map(|own| ("spec.affinity.nodeAffinity", own))
            }))
            .find(|(_, own)| clash(own))
            .map(|(field, own)| format!("{field}: {own}"))
    }

    /// The part of the constraints that a node of this name with these labels does not satisfy, to name in a message.
    pub fn unmet(&self, name: &str, labels: &impl LabelSource) -> Option<String> {
        if let Some(own) = self.selector.iter().find(|own| !own.matches(labels)) {
            return Some(format!("spec.nodeSelector: {own}"));
        }
        if self.admit(name, labels) {
            return None;
        }
        let field = "spec.affinity.nodeAffinity";
        Some(match self.terms.as_deref() {
            Some([term]) if !term.is_empty() => {
                let label = term.match_expressions().iter().find(|own| !own.matches(labels));
                let unmet = label.or_else(|| term.match_fields.iter().find(|own| !own.matches_value(Some(name))));
                unmet.map_or_else(|| field.to_owned(), |own| format!("{field}: {own}"))
            }
            Some(terms) => format!("{field}: none of its {} terms", terms.len()),
            None => field.to_owned(),
        })
    }

    /// Applies `judge` to each alternative that some node can meet. One that contradicts itself says nothing of where the pod may run,
    /// so it must weigh nowhere: else the pod that we rewrote, whose alternatives our own requirements may have closed, would be judged
    /// otherwise than the pod that came.
    fn conjunctions<T>(&self, judge: impl Fn(&[&Requirement<'_>]) -> T) -> Vec<T> {
        let judge_open = |all: Vec<&Requirement<'_>>| satisfiable(all.iter().copied()).then(|| judge(&all));
        match &self.terms {
            None => judge_open(self.selector.iter().collect()).into_iter().collect(),
            Some(terms) => terms
                .iter()
                .filter(|term| !term.is_empty())
                .filter_map(|term| judge_open(self.selector.iter().chain(term.match_expressions()).collect()))
                .collect(),
        }
    }
}

fn term_admits(term: &NodeSelectorTerm<'_>, name: &str, labels: &impl LabelSource) -> bool {
    !term.is_empty()
        && term.match_expressions().iter().all(|r| r.matches(labels))
        && term
            .match_fields
            .iter()
            .all(|r| &*r.key == FIELD_NODE_NAME && r.matches_value(Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::text::Labels;
    use Operator::In;

    fn require(key: &str, operator: Operator, values: &[&str]) -> Requirement<'static> {
        Requirement::new(key, operator, values.iter().copied())
    }

    fn pod(json: &str) -> Pod<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_a_node_does_not_satisfy_is_named() {
        let zone =
            |zone: &str| format!(r#"{{"matchExpressions":[{{"key":"zone","operator":"In","values":["{zone}"]}}]}}"#);
        let node = r#"{"matchFields":[{"key":"metadata.name","operator":"In","values":["n2"]}]}"#;
        let (a, b) = (zone("a"), zone("b"));
        for (selector, terms, unmet) in [
            (r#"{"team":"x"}"#, a.clone(), Some("spec.nodeSelector: team=x")),
            ("{}", a.clone(), None),
            ("{}", b.clone(), Some("spec.affinity.nodeAffinity: zone=b")),
            (
                "{}",
                node.to_owned(),
                Some("spec.affinity.nodeAffinity: metadata.name=n2"),
            ),
            ("{}", format!("{a},{b}"), None),
            (
                "{}",
                format!("{b},{node}"),
                Some("spec.affinity.nodeAffinity: none of its 2 terms"),
            ),
            (
                "{}",
                "{}".to_owned(),
                Some("spec.affinity.nodeAffinity: none of its 1 terms"),
            ),
        ] {
            let json = format!(
                r#"{{"spec":{{"nodeSelector":{selector},"affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{terms}]}}}}}}}}}}"#
            );
            let pod = pod(&json);
            let found = Constraints::of(&pod).unmet("n1", &Labels::from_iter([("zone", "a")]));
            assert_eq!(found.as_deref(), unmet, "{json}");
        }
    }

    #[test]
    fn terms_are_alternatives_and_an_empty_term_matches_no_node() {
        let labels = Labels::from_iter([("zone", "a")]);
        for (terms, admitted) in [
            (
                r#"[{"matchExpressions":[{"key":"zone","operator":"In","values":["a"]}]}]"#,
                true,
            ),
            (
                r#"[{"matchExpressions":[{"key":"zone","operator":"In","values":["b"]}]}]"#,
                false,
            ),
            (
                r#"[{"matchExpressions":[{"key":"zone","operator":"In","values":["b"]}]},{"matchExpressions":[{"key":"zone","operator":"Exists"}]}]"#,
                true,
            ),
            (r"[{}]", false),
            (r#"[{"matchExpressions":null,"matchFields":[]}]"#, false),
            (
                r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]"#,
                true,
            ),
            (
                r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n2"]}]}]"#,
                false,
            ),
            (
                r#"[{"matchFields":[{"key":"metadata.uid","operator":"In","values":["n1"]}]}]"#,
                false,
            ),
        ] {
            let json = format!(
                r#"{{"spec":{{"affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":{terms}}}}}}}}}}}"#
            );
            let pod = pod(&json);
            assert_eq!(Constraints::of(&pod).admit("n1", &labels), admitted, "{terms}");
        }
    }

    #[test]
    fn a_requirement_is_implied_only_when_every_alternative_implies_it() {
        let both = pod(
            r#"{"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
            {"matchExpressions":[{"key":"k","operator":"In","values":["a"]}]},
            {"matchExpressions":[{"key":"k","operator":"In","values":["b"]}]}]}}}}}"#,
        );
        let constraints = Constraints::of(&both);
        assert!(constraints.imply(&require("k", In, &["a", "b"])));
        assert!(!constraints.imply(&require("k", In, &["a"])));
        assert!(constraints.allow(&[require("k", In, &["a"])]));
        assert!(!constraints.allow(&[require("k", In, &["c"])]));
        assert_eq!(
            constraints.pinned_values("k"),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(constraints.pinned_values("l"), None);
        assert_eq!(
            constraints.against(&[require("k", In, &["b"])]).as_deref(),
            Some("spec.affinity.nodeAffinity: k=a")
        );
    }
}
