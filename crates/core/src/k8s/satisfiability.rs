//! Satisfiability and implication of label requirements.
//!
//! Exact for every Kubernetes operator, key by key. A property test compares the results with
//! trying out values.

use std::collections::BTreeMap;

use super::requirement::{Operator, Requirement};

/// Whether every value of the label that satisfies all of `all` also satisfies `required`.
pub(super) fn implies(all: &[&Requirement<'_>], required: &Requirement<'_>) -> bool {
    let same_key = || all.iter().filter(|r| r.key == required.key);
    // An unsatisfiable conjunction admits no node, so it implies anything.
    if !satisfiable(same_key().copied()) {
        return true;
    }
    let allowed = same_key()
        .filter(|r| r.operator == Operator::In)
        .flat_map(|r| &r.values);
    if same_key().any(|r| r.operator == Operator::In) {
        // Count only the values that every requirement admits.
        return allowed
            .filter(|value| same_key().all(|r| r.matches_value(Some(value))))
            .all(|value| required.matches_value(Some(value)));
    }
    same_key().any(|given| implies_alone(given, required))
}

/// Whether `given`, whose operator is not `In`, implies `required` on the same key.
fn implies_alone(given: &Requirement<'_>, required: &Requirement<'_>) -> bool {
    match (given.operator, required.operator) {
        (Operator::NotIn, Operator::NotIn) => required.values.iter().all(|value| given.values.contains(value)),
        (Operator::DoesNotExist, Operator::NotIn | Operator::DoesNotExist)
        | (Operator::Exists | Operator::Gt | Operator::Lt, Operator::Exists) => true,
        (Operator::Gt, Operator::Gt) => given.bound() >= required.bound(),
        (Operator::Lt, Operator::Lt) => given.bound() <= required.bound(),
        _ => false,
    }
}

/// Whether some set of labels satisfies all requirements.
pub(super) fn satisfiable<'r, 'a: 'r>(requirements: impl IntoIterator<Item = &'r Requirement<'a>>) -> bool {
    let mut by_key: BTreeMap<&str, Vec<&Requirement<'_>>> = BTreeMap::new();
    for requirement in requirements {
        by_key.entry(&requirement.key).or_default().push(requirement);
    }
    by_key.values().all(|same_key| {
        let holds = |value: Option<&str>| same_key.iter().all(|r| r.matches_value(value));
        match same_key.iter().find(|r| r.operator == Operator::In) {
            Some(list) => list.values.iter().any(|value| holds(Some(value))),
            None => holds(None) || example_value(same_key).is_some_and(|value| holds(Some(&value))),
        }
    })
}

/// A value that satisfies the requirements of one key, none of which is `In`.
fn example_value(same_key: &[&Requirement<'_>]) -> Option<String> {
    let bounds = |operator| same_key.iter().filter(move |r| r.operator == operator);
    if bounds(Operator::Gt)
        .chain(bounds(Operator::Lt))
        .any(|r| r.bound().is_none())
    {
        return None;
    }
    let low = bounds(Operator::Gt).filter_map(|r| r.bound()).max();
    let high = bounds(Operator::Lt).filter_map(|r| r.bound()).min();
    let excluded = |value: &str| {
        !same_key
            .iter()
            .all(|r| r.operator != Operator::NotIn || r.matches_value(Some(value)))
    };
    if low.is_none() && high.is_none() {
        // Any text will do, and NotIn excludes at most as many values as it lists.
        let listed: usize = same_key.iter().map(|r| r.values.len()).sum();
        return (0..=listed).map(|n| format!("v{n}")).find(|value| !excluded(value));
    }
    let from = low.map_or_else(|| high.unwrap_or(0).saturating_sub(1), |low| low.saturating_add(1));
    // NotIn excludes at most as many integers as it lists.
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
        .find(|value| !excluded(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
    use proptest::prelude::*;

    fn require(key: &str, operator: Operator, values: &[&str]) -> Requirement<'static> {
        Requirement::new(key, operator, values.iter().copied())
    }

    #[test]
    fn contradictions_on_one_key_are_unsatisfiable() {
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
        /// The universe contains every value that the requirements can name.
        #[test]
        fn results_agree_with_trying_out_values(
            own in prop::collection::vec(arbitrary_requirement(), 0..4),
            required in arbitrary_requirement(),
        ) {
            let universe = [None, Some("a"), Some("b"), Some("z"), Some("-1"), Some("0"), Some("1"), Some("2"), Some("3"), Some("4")];
            let admitted: Vec<_> =
                universe.into_iter().filter(|value| own.iter().all(|r| r.matches_value(*value))).collect();
            prop_assert_eq!(satisfiable(&own), !admitted.is_empty());
            let own: Vec<&Requirement<'_>> = own.iter().collect();
            if implies(&own, &required) {
                prop_assert!(admitted.iter().all(|value| required.matches_value(*value)));
            }
            if own.len() == 1 && *own[0] == required {
                prop_assert!(implies(&own, &required));
            }
        }
    }
}
