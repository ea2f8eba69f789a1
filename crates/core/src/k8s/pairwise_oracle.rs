//! The merged solver gives what comparing requirement by requirement gave.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::normalized_affinity::NormalizedAffinity;
use super::required_node_affinity::RequiredNodeAffinity;
use super::requirement::{Operator, Requirement};
use super::satisfiability::{Conjunction, Joint};
use super::{Pod, Text};
use Operator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};

/// The formulation that compares requirement by requirement.
mod pairwise {
    use super::*;

    pub(super) fn implies(all: &[&Requirement<'_>], required: &Requirement<'_>) -> bool {
        let same_key = || all.iter().filter(|r| r.key == required.key);
        if !satisfiable(same_key().copied()) {
            return true;
        }
        let mut allowed = same_key().filter(|r| r.operator == In).flat_map(|r| &r.values);
        if same_key().any(|r| r.operator == In) {
            return allowed
                .all(|value| !same_key().all(|r| r.matches_value(Some(value))) || required.matches_value(Some(value)));
        }
        same_key().any(|given| implies_alone(given, required))
    }

    fn implies_alone(given: &Requirement<'_>, required: &Requirement<'_>) -> bool {
        match (given.operator, required.operator) {
            (NotIn, NotIn) => required.values.iter().all(|value| given.values.contains(value)),
            (DoesNotExist, NotIn | DoesNotExist) | (Exists | Gt | Lt, Exists) => true,
            (Gt, Gt) => given.bound() >= required.bound(),
            (Lt, Lt) => given.bound() <= required.bound(),
            _ => false,
        }
    }

    pub(super) fn satisfiable<'r>(requirements: impl IntoIterator<Item = &'r Requirement<'r>>) -> bool {
        let mut by_key: BTreeMap<&str, Vec<&Requirement<'_>>> = BTreeMap::new();
        for requirement in requirements {
            by_key.entry(&requirement.key).or_default().push(requirement);
        }
        by_key.values().all(|same_key| {
            let holds = |value: Option<&str>| same_key.iter().all(|r| r.matches_value(value));
            match same_key.iter().find(|r| r.operator == In) {
                Some(list) => list.values.iter().any(|value| holds(Some(value))),
                None => holds(None) || examples(same_key).iter().any(|value| holds(Some(value))),
            }
        })
    }

    /// Some of them satisfies the requirements of one key, none of which is `In`, if any value does.
    fn examples(same_key: &[&Requirement<'_>]) -> Vec<String> {
        let listed: usize = same_key.iter().map(|r| r.values.len()).sum();
        let bounds = |operator| same_key.iter().filter(move |r| r.operator == operator);
        let low = bounds(Gt).filter_map(|r| r.bound()).max();
        let high = bounds(Lt).filter_map(|r| r.bound()).min();
        let step = |step: usize| i64::try_from(step).unwrap();
        match (low, high) {
            (None, None) => (0..=listed).map(|n| format!("v{n}")).collect(),
            (Some(low), _) => (0..=listed)
                .map(|n| low.saturating_add(1).saturating_add(step(n)).to_string())
                .collect(),
            (None, Some(high)) => (0..=listed)
                .map(|n| high.saturating_sub(1).saturating_sub(step(n)).to_string())
                .collect(),
        }
    }

    /// The node selector and each non-empty term that some node can satisfy, as one list.
    pub(super) fn satisfiable_terms<'r>(
        affinity: &'r RequiredNodeAffinity<'r>,
        added: &'r [Requirement<'r>],
    ) -> Vec<Vec<&'r Requirement<'r>>> {
        let base = || affinity.node_selector().iter().chain(added);
        let all: Vec<Vec<&Requirement<'_>>> = match affinity.terms() {
            None => vec![base().collect()],
            Some(terms) => terms
                .iter()
                .filter(|term| !term.is_empty())
                .map(|term| base().chain(term.match_expressions()).collect())
                .collect(),
        };
        all.into_iter().filter(|all| satisfiable(all.iter().copied())).collect()
    }

    pub(super) fn pinned_values(terms: &[Vec<&Requirement<'_>>], key: &str) -> Option<Vec<String>> {
        let pins = terms.iter().map(|all| {
            let on_key = || all.iter().filter(|r| &*r.key == key);
            let list = on_key().find(|r| r.operator == In)?;
            let values = list.values.iter().map(ToString::to_string);
            Some(
                values
                    .filter(|value| on_key().all(|r| r.matches_value(Some(value))))
                    .collect::<Vec<_>>(),
            )
        });
        let mut values = pins.collect::<Option<Vec<_>>>()?.concat();
        values.sort_unstable();
        values.dedup();
        if values.is_empty() { None } else { Some(values) }
    }
}

const WORDS: [&str; 7] = ["a", "b", "1", "2", "3", "03", "-1"];

fn requirement(longest: usize) -> impl Strategy<Value = Requirement<'static>> {
    let key = || prop::sample::select(vec!["k", "k", "l"]);
    // Repeating the words makes lists longer than those that are scanned.
    let values = (
        prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..4),
        1..=longest,
    )
        .prop_map(|(words, times)| words.repeat(times));
    let bound = prop::sample::select(vec![
        "0",
        "1",
        "2",
        "3",
        "x",
        "9223372036854775807",
        "-9223372036854775808",
    ]);
    prop_oneof![
        3 => (key(), prop::sample::select(vec![In, NotIn]), values)
            .prop_map(|(key, operator, values)| Requirement::new(key, operator, values)),
        1 => (key(), prop::sample::select(vec![Exists, DoesNotExist]))
            .prop_map(|(key, operator)| Requirement::new(key, operator, std::iter::empty::<String>())),
        1 => (key(), prop::sample::select(vec![Gt, Lt]), bound)
            .prop_map(|(key, operator, bound)| Requirement::new(key, operator, [bound])),
    ]
}

fn json(requirement: &Requirement<'_>) -> serde_json::Value {
    let values: Vec<&str> = requirement.values.iter().map(|value| &**value).collect();
    serde_json::json!({"key": &*requirement.key, "operator": requirement.operator.as_str(), "values": values})
}

/// Whether the merged solver may find more implications here: it sees that several `NotIn`, or
/// bounds, exclude a value together.
fn may_be_sharper(own: &[&Requirement<'_>], required: &Requirement<'_>) -> bool {
    let has = |operators: &[Operator]| own.iter().any(|r| operators.contains(&r.operator));
    required.operator == NotIn && (has(&[Gt, Lt, Exists]) || required.values.len() != 1)
}

fn compare_implication(own: &[&Requirement<'_>], required: &Requirement<'_>, merged: bool) {
    let pairwise = pairwise::implies(own, required);
    // No integer is a bound of an impossible requirement.
    if required.operator == Gt && required.bound().is_none() {
        return;
    }
    if may_be_sharper(own, required) {
        assert!(merged || !pairwise, "{own:?} => {required:?}");
    } else {
        assert_eq!(merged, pairwise, "{own:?} => {required:?}");
    }
}

proptest! {
    #[test]
    fn merged_requirements_are_as_satisfiable_as_pairs(own in prop::collection::vec(requirement(12), 0..6), required in requirement(12)) {
        let conjunction = Conjunction::new(&own);
        prop_assert_eq!(conjunction.is_satisfiable(), pairwise::satisfiable(&own));
        let own: Vec<&Requirement<'_>> = own.iter().collect();
        let merged = Joint([conjunction.get(&required.key), None, None]).implies(&required);
        compare_implication(&own, &required, merged);
        // What is implied holds for every value that is admitted.
        if merged {
            let on_key: Vec<_> = own.iter().filter(|r| r.key == required.key).collect();
            for value in WORDS.into_iter().chain(["0", "4", "z"]).map(Some).chain([None]) {
                let admitted = on_key.iter().all(|r| r.matches_value(value));
                prop_assert!(!admitted || required.matches_value(value), "{:?} => {:?}: {:?}", own, required, value);
            }
        }
    }

    #[test]
    fn a_normalized_affinity_answers_as_its_terms_do(
        selector in prop::collection::btree_map(prop::sample::select(vec!["k", "l", "m"]), prop::sample::select(WORDS.to_vec()), 0..3),
        terms in prop::option::of(prop::collection::vec(prop::collection::vec(requirement(6), 0..4), 0..4)),
        added in prop::collection::vec(requirement(6), 0..3),
        required in requirement(6),
    ) {
        let mut pod = serde_json::json!({"spec": {"nodeSelector": selector}});
        if let Some(terms) = &terms {
            let terms: Vec<_> = terms.iter().map(|term| {
                let term: Vec<_> = term.iter().map(json).collect();
                serde_json::json!({ "matchExpressions": term })
            }).collect();
            pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] = terms.into();
        }
        let text = pod.to_string();
        let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
        let affinity = RequiredNodeAffinity::from_pod(&pod);
        let own = affinity.normalize();
        let narrowed: NormalizedAffinity<'_> = own.with_requirements(&added);
        prop_assert_eq!(own.is_compatible_with(&added), !pairwise::satisfiable_terms(&affinity, &added).is_empty());
        for (normalized, added) in [(&own, &[][..]), (&narrowed, &added[..])] {
            let terms = pairwise::satisfiable_terms(&affinity, added);
            let merged = normalized.implies(&required);
            let pairwise = terms.iter().all(|all| pairwise::implies(all, &required));
            let sharper = required.bound().is_none() && required.operator == Gt
                || terms.iter().any(|all| may_be_sharper(all, &required));
            prop_assert!(merged == pairwise || sharper, "{}: {:?}", text, required);
            for key in ["k", "l", "m"] {
                let pinned = normalized.pinned_values(key).map(|values| values.into_iter().map(str::to_owned).collect::<Vec<_>>());
                prop_assert_eq!(pinned, pairwise::pinned_values(&terms, key), "{}", key);
            }
        }
    }

    /// The last value of a repeated key wins, at the position of the first, in maps of any length.
    #[test]
    fn a_map_of_any_length_reads_as_in_go(pairs in prop::collection::vec((0..60u32, 0..5u32), 0..80)) {
        let members: Vec<String> = pairs.iter().map(|(key, value)| format!(r#""k{key}":"{value}""#)).collect();
        let text = format!("{{{}}}", members.join(","));
        let map: super::Pairs<'_> = serde_json::from_str(&text).unwrap();
        let mut expected: Vec<(String, String)> = Vec::new();
        for (key, value) in pairs {
            let (key, value) = (format!("k{key}"), value.to_string());
            match expected.iter_mut().find(|(known, _)| *known == key) {
                Some(slot) => slot.1 = value,
                None => expected.push((key, value)),
            }
        }
        let found: Vec<(String, String)> = map.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        prop_assert_eq!(&found, &expected);
        for key in (0..60).map(|key| format!("k{key}")) {
            let value = expected.iter().find(|(known, _)| *known == key).map(|(_, value)| Text::from(value.as_str()));
            prop_assert_eq!(map.get(&key), value.as_ref());
        }
    }
}
