//! Where a pod may run, by the labels and names of nodes: its `nodeSelector` and its required node affinity.
//!
//! Kubernetes reads them as `nodeSelector AND (term OR term OR ...)`, and a term as the conjunction of its expressions. A term
//! without any expression matches **no** node (`component-helpers/scheduling/corev1/nodeaffinity`), so adding one to it would
//! widen it.

use std::collections::BTreeMap;

use super::pod::{NodeSelectorTerm, Pod};
use super::selector::{Operator, Requirement};
use super::text::LabelSource;

/// The only field that `matchFields` may name.
pub const FIELD_NODE_NAME: &str = "metadata.name";

/// A pod's own constraints on nodes, as a disjunction of conjunctions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

    /// The values that `key` can have, when every alternative pins it by `In`; else `None`.
    pub fn pinned_values(&self, key: &str) -> Option<Vec<String>> {
        let pins = self.conjunctions(|all| {
            let list = all.iter().find(|r| &*r.key == key && r.operator == Operator::In)?;
            Some(list.values.iter().map(ToString::to_string).collect::<Vec<_>>())
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

    /// Applies `judge` to each alternative that can match a node at all.
    fn conjunctions<T>(&self, judge: impl Fn(&[&Requirement<'_>]) -> T) -> Vec<T> {
        match &self.terms {
            None => vec![judge(&self.selector.iter().collect::<Vec<_>>())],
            Some(terms) => terms
                .iter()
                .filter(|term| !term.is_empty())
                .map(|term| judge(&self.selector.iter().chain(term.match_expressions()).collect::<Vec<_>>()))
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

/// Whether the conjunction `all` leaves no value of the label that `wanted` would refuse.
pub(super) fn implies(all: &[&Requirement<'_>], wanted: &Requirement<'_>) -> bool {
    let same_key = || all.iter().filter(|r| r.key == wanted.key);
    // An unsatisfiable conjunction admits no node, so it implies anything.
    if !satisfiable(same_key().copied()) {
        return true;
    }
    let allowed = same_key()
        .filter(|r| r.operator == Operator::In)
        .flat_map(|r| &r.values);
    if same_key().any(|r| r.operator == Operator::In) {
        // Only values that every requirement leaves over count.
        return allowed
            .filter(|value| same_key().all(|r| r.matches_value(Some(value))))
            .all(|value| wanted.matches_value(Some(value)));
    }
    same_key().any(|own| implies_alone(own, wanted))
}

/// Whether `own`, which is not `In`, implies `wanted` on the same key.
fn implies_alone(own: &Requirement<'_>, wanted: &Requirement<'_>) -> bool {
    match (own.operator, wanted.operator) {
        (Operator::NotIn, Operator::NotIn) => wanted.values.iter().all(|value| own.values.contains(value)),
        (Operator::DoesNotExist, Operator::NotIn | Operator::DoesNotExist)
        | (Operator::Exists | Operator::Gt | Operator::Lt, Operator::Exists) => true,
        (Operator::Gt, Operator::Gt) => own.bound() >= wanted.bound(),
        (Operator::Lt, Operator::Lt) => own.bound() <= wanted.bound(),
        _ => false,
    }
}

/// Whether some set of labels satisfies all of `requirements`.
pub(super) fn satisfiable<'r, 'a: 'r>(requirements: impl IntoIterator<Item = &'r Requirement<'a>>) -> bool {
    let mut by_key: BTreeMap<&str, Vec<&Requirement<'_>>> = BTreeMap::new();
    for requirement in requirements {
        by_key.entry(&requirement.key).or_default().push(requirement);
    }
    by_key.values().all(|same_key| {
        let holds = |value: Option<&str>| same_key.iter().all(|r| r.matches_value(value));
        match same_key.iter().find(|r| r.operator == Operator::In) {
            Some(list) => list.values.iter().any(|value| holds(Some(value))),
            None => holds(None) || witness(same_key).is_some_and(|value| holds(Some(&value))),
        }
    })
}

/// A value that satisfies the requirements of one key without `In`, if any does.
fn witness(same_key: &[&Requirement<'_>]) -> Option<String> {
    let bounds = |operator| same_key.iter().filter(move |r| r.operator == operator);
    if bounds(Operator::Gt)
        .chain(bounds(Operator::Lt))
        .any(|r| r.bound().is_none())
    {
        return None;
    }
    let low = bounds(Operator::Gt).filter_map(|r| r.bound()).max();
    let high = bounds(Operator::Lt).filter_map(|r| r.bound()).min();
    let taken = |value: &str| {
        !same_key
            .iter()
            .all(|r| r.operator != Operator::NotIn || r.matches_value(Some(value)))
    };
    if low.is_none() && high.is_none() {
        // Labels of free form: NotIn can take away at most as many words as it lists.
        let listed: usize = same_key.iter().map(|r| r.values.len()).sum();
        return (0..=listed).map(|n| format!("v{n}")).find(|value| !taken(value));
    }
    let from = low.map_or_else(|| high.unwrap_or(0).saturating_sub(1), |low| low.saturating_add(1));
    // NotIn can take away at most as many integers as it lists.
    let listed: i64 = same_key
        .iter()
        .map(|r| i64::try_from(r.values.len()).unwrap_or(i64::MAX))
        .sum();
    (0..=listed)
        .map(|step| {
            if low.is_some() {
                from.saturating_add(step)
            } else {
                from.saturating_sub(step)
            }
        })
        .filter(|n| high.is_none_or(|high| *n < high))
        .map(|n| n.to_string())
        .find(|value| !taken(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::text::Labels;
    use Operator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
    use proptest::prelude::*;

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
    fn contradictions_are_found_on_one_key() {
        for (requirements, possible) in [
            (vec![require("k", In, &["a"]), require("k", In, &["b"])], false),
            (vec![require("k", In, &["a", "b"]), require("k", In, &["b"])], true),
            (vec![require("k", In, &["a"]), require("k", NotIn, &["a"])], false),
            (vec![require("k", In, &["a"]), require("k", DoesNotExist, &[])], false),
            (vec![require("k", Exists, &[]), require("k", DoesNotExist, &[])], false),
            (vec![require("k", NotIn, &["a"]), require("k", DoesNotExist, &[])], true),
            (vec![require("k", Gt, &["5"]), require("k", Lt, &["6"])], false),
            (vec![require("k", Gt, &["4"]), require("k", Lt, &["6"])], true),
            (
                vec![
                    require("k", Gt, &["4"]),
                    require("k", Lt, &["6"]),
                    require("k", NotIn, &["5"]),
                ],
                false,
            ),
            (vec![require("k", Gt, &["10"]), require("k", In, &["9", "11"])], true),
            (vec![require("k", Gt, &["10"]), require("k", In, &["9"])], false),
            (vec![require("k", Gt, &["word"])], false),
            (
                vec![require("k", Exists, &[]), require("k", NotIn, &["v0", "v1"])],
                true,
            ),
            (vec![require("k", In, &["a"]), require("l", In, &["b"])], true),
        ] {
            assert_eq!(satisfiable(&requirements), possible, "{requirements:?}");
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

    fn arbitrary_requirement() -> impl Strategy<Value = Requirement<'static>> {
        let word = prop::sample::select(vec!["a", "b", "1", "2", "3"]);
        let number = prop::sample::select(vec!["0", "1", "2", "3"]);
        prop_oneof![
            (prop::sample::select(vec![In, NotIn]), prop::collection::vec(word, 1..3))
                .prop_map(|(operator, values)| require("k", operator, &values)),
            prop::sample::select(vec![Exists, DoesNotExist]).prop_map(|operator| require("k", operator, &[])),
            (prop::sample::select(vec![Gt, Lt]), number).prop_map(|(operator, value)| require("k", operator, &[value])),
        ]
    }

    proptest! {
        /// Implication and satisfiability are sound against every value of a universe that holds all values named.
        #[test]
        fn the_solver_agrees_with_trying_out(
            own in prop::collection::vec(arbitrary_requirement(), 0..4),
            wanted in arbitrary_requirement(),
        ) {
            let universe = [None, Some("a"), Some("b"), Some("z"), Some("-1"), Some("0"), Some("1"), Some("2"), Some("3"), Some("4")];
            let admitted: Vec<_> =
                universe.into_iter().filter(|value| own.iter().all(|r| r.matches_value(*value))).collect();
            prop_assert_eq!(satisfiable(&own), !admitted.is_empty());
            let own: Vec<&Requirement<'_>> = own.iter().collect();
            if implies(&own, &wanted) {
                prop_assert!(admitted.iter().all(|value| wanted.matches_value(*value)));
            }
            if own.len() == 1 && *own[0] == wanted {
                prop_assert!(implies(&own, &wanted));
            }
        }
    }
}
