//! The nodes that a pod may run on, by its `nodeSelector` and its required node affinity.
//!
//! Kubernetes combines the two as `nodeSelector AND (term OR term OR ...)`, where all expressions
//! of a term must hold. A term without expressions matches **no** node
//! (`component-helpers/scheduling/corev1/nodeaffinity`), so adding an expression to it would widen
//! it.

use std::fmt;

use super::affinity::NodeSelectorTerm;
use super::labels::LabelSource;
use super::normalized_affinity::NormalizedAffinity;
use super::pod::Pod;
use super::requirement::{Operator, Requirement};
use super::satisfiability::satisfiable;
use crate::diagnostics::excerpt;

/// The only field that `matchFields` accepts.
pub const FIELD_NODE_NAME: &str = "metadata.name";

const NODE_SELECTOR: &str = "spec.nodeSelector";
const NODE_AFFINITY: &str = "spec.affinity.nodeAffinity";

/// Named after its counterpart in `component-helpers/scheduling/corev1/nodeaffinity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequiredNodeAffinity<'a> {
    node_selector: Vec<Requirement<'a>>,
    /// `None` if the pod has no required node affinity.
    terms: Option<Vec<NodeSelectorTerm<'a>>>,
}

/// The part of a pod's node selection that excludes a node or conflicts with a requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectionConflict {
    /// Such as `spec.nodeSelector`.
    pub field: &'static str,
    /// Such as `zone=a`, cut if it is long.
    pub reason: String,
}

impl fmt::Display for SelectionConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl<'a> RequiredNodeAffinity<'a> {
    pub fn from_pod(pod: &Pod<'a>) -> Self {
        let node_selector = pod
            .spec
            .node_selector
            .iter()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()].into(),
            })
            .collect();
        RequiredNodeAffinity {
            node_selector,
            terms: pod.spec.required_node_terms().map(<[_]>::to_vec),
        }
    }

    pub fn into_owned(self) -> RequiredNodeAffinity<'static> {
        RequiredNodeAffinity {
            node_selector: self.node_selector.into_iter().map(Requirement::into_owned).collect(),
            terms: self
                .terms
                .map(|terms| terms.into_iter().map(NodeSelectorTerm::into_owned).collect()),
        }
    }

    /// Whether the pod may run on any node.
    pub fn is_unconstrained(&self) -> bool {
        self.node_selector.is_empty() && self.terms.is_none()
    }

    /// Whether the pod may run on the node with this name and these labels.
    pub fn matches_node(&self, name: &str, labels: &impl LabelSource) -> bool {
        self.node_selector.iter().all(|r| r.matches(labels))
            && self
                .terms
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term_matches(term, name, labels)))
    }

    /// The affinity in the form in which it can be compared with requirements.
    pub fn normalize(&self) -> NormalizedAffinity<'_> {
        NormalizedAffinity::new(self)
    }

    pub(super) fn node_selector(&self) -> &[Requirement<'a>] {
        &self.node_selector
    }

    pub(super) fn terms(&self) -> Option<&[NodeSelectorTerm<'a>]> {
        self.terms.as_deref()
    }

    /// The first requirement of the pod that contradicts one of `requirements`.
    pub fn conflict_with(&self, requirements: &[Requirement<'_>]) -> Option<SelectionConflict> {
        let conflicts = |own: &Requirement<'_>| requirements.iter().any(|r| r.key == own.key && !satisfiable([own, r]));
        let in_terms = self
            .terms
            .iter()
            .flatten()
            .flat_map(NodeSelectorTerm::match_expressions);
        self.node_selector
            .iter()
            .map(|own| (NODE_SELECTOR, own))
            .chain(in_terms.map(|own| (NODE_AFFINITY, own)))
            .find(|(_, own)| conflicts(own))
            .map(|(field, own)| SelectionConflict {
                field,
                reason: excerpt(&own.to_string()).into_owned(),
            })
    }

    /// Why the pod may not run on the node with this name and these labels; `None` if it may.
    pub fn node_mismatch(&self, name: &str, labels: &impl LabelSource) -> Option<SelectionConflict> {
        if let Some(own) = self.node_selector.iter().find(|own| !own.matches(labels)) {
            return Some(SelectionConflict {
                field: NODE_SELECTOR,
                reason: excerpt(&own.to_string()).into_owned(),
            });
        }
        if self.matches_node(name, labels) {
            return None;
        }
        let terms = self.terms.as_deref().unwrap_or_default();
        let only_unmet = match terms {
            [term] => {
                let label = term.match_expressions().iter().find(|own| !own.matches(labels));
                label.or_else(|| term.match_fields.iter().find(|own| !own.matches_value(Some(name))))
            }
            _ => None,
        };
        Some(SelectionConflict {
            field: NODE_AFFINITY,
            reason: only_unmet.map_or_else(
                || format!("none of its {} terms", terms.len()),
                |own| excerpt(&own.to_string()).into_owned(),
            ),
        })
    }
}

fn term_matches(term: &NodeSelectorTerm<'_>, name: &str, labels: &impl LabelSource) -> bool {
    !term.is_empty()
        && term.match_expressions().iter().all(|r| r.matches(labels))
        && term
            .match_fields
            .iter()
            .all(|r| &*r.key == FIELD_NODE_NAME && r.matches_value(Some(name)))
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Pod, requirement};
    use serde_json::{Value, json};

    use super::*;
    use crate::k8s::Labels;
    use Operator::In;

    fn require(key: &str, operator: Operator, values: &[&str]) -> Requirement<'static> {
        Requirement::new(key, operator, values.iter().copied())
    }

    fn view(json: &str) -> super::Pod<'_> {
        serde_json::from_str(json).unwrap()
    }

    /// A pod that requires the field of a node.
    fn pinned(field: &str, value: &str) -> Value {
        json!({"matchFields": [requirement(field, "In", &[value])]})
    }

    #[test]
    fn a_node_mismatch_names_field_and_requirement() {
        let in_zone = |pod: Pod, zone: &str| pod.node_affinity_term(&[requirement("zone", "In", &[zone])]);
        let pod = || Pod::new("p");
        let n2 = pinned("metadata.name", "n2");
        for (pod, unmet) in [
            (
                in_zone(pod(), "a").node_selector("team", "x"),
                Some("spec.nodeSelector: team=x"),
            ),
            (in_zone(pod(), "a"), None),
            (in_zone(pod(), "b"), Some("spec.affinity.nodeAffinity: zone=b")),
            (
                pod().node_affinity_json(n2.clone()),
                Some("spec.affinity.nodeAffinity: metadata.name=n2"),
            ),
            (in_zone(in_zone(pod(), "a"), "b"), None),
            (
                in_zone(pod(), "b").node_affinity_json(n2),
                Some("spec.affinity.nodeAffinity: none of its 2 terms"),
            ),
            (
                pod().node_affinity_json(json!({})),
                Some("spec.affinity.nodeAffinity: none of its 1 terms"),
            ),
        ] {
            let json = pod.to_string();
            let pod = view(&json);
            let affinity = RequiredNodeAffinity::from_pod(&pod);
            let found = affinity.node_mismatch("n1", &Labels::from_iter([("zone", "a")]));
            assert_eq!(found.map(|found| found.to_string()).as_deref(), unmet, "{json}");
        }
    }

    #[test]
    fn one_term_must_match_and_an_empty_term_matches_no_node() {
        let labels = Labels::from_iter([("zone", "a")]);
        let zone =
            |operator: &str, values: &[&str]| json!({"matchExpressions": [requirement("zone", operator, values)]});
        for (terms, matched) in [
            (vec![zone("In", &["a"])], true),
            (vec![zone("In", &["b"])], false),
            (vec![zone("In", &["b"]), zone("Exists", &[])], true),
            (vec![json!({})], false),
            (vec![json!({"matchExpressions": null, "matchFields": []})], false),
            (vec![pinned("metadata.name", "n1")], true),
            (vec![pinned("metadata.name", "n2")], false),
            (vec![pinned("metadata.uid", "n1")], false),
        ] {
            let json = terms
                .into_iter()
                .fold(Pod::new("p"), Pod::node_affinity_json)
                .to_string();
            let pod = view(&json);
            assert_eq!(
                RequiredNodeAffinity::from_pod(&pod).matches_node("n1", &labels),
                matched,
                "{json}"
            );
        }
    }

    #[test]
    fn a_requirement_is_implied_only_if_every_term_implies_it() {
        let json = Pod::new("p")
            .node_affinity_term(&[requirement("k", "In", &["a"])])
            .node_affinity_term(&[requirement("k", "In", &["b"])])
            .to_string();
        let both = view(&json);
        let affinity = RequiredNodeAffinity::from_pod(&both);
        let normalized = affinity.normalize();
        assert!(normalized.implies(&require("k", In, &["a", "b"])));
        assert!(!normalized.implies(&require("k", In, &["a"])));
        assert!(normalized.is_compatible_with(&[require("k", In, &["a"])]));
        assert!(!normalized.is_compatible_with(&[require("k", In, &["c"])]));
        assert_eq!(normalized.pinned_values("k"), Some(vec!["a", "b"]));
        assert_eq!(normalized.pinned_values("l"), None);
        assert_eq!(
            affinity.conflict_with(&[require("k", In, &["b"])]),
            Some(SelectionConflict {
                field: "spec.affinity.nodeAffinity",
                reason: "k=a".to_owned()
            })
        );
    }
}
