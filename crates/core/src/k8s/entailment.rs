//! What requirements on labels mean together: whether they can hold at once, and what follows from them.
//!
//! Exact for the operators of Kubernetes, on each key by itself; a property test holds it against trying values out.

use std::collections::BTreeMap;

use super::selector::{Operator, Requirement};

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
    use Operator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
    use proptest::prelude::*;

    fn require(key: &str, operator: Operator, values: &[&str]) -> Requirement<'static> {
        Requirement::new(key, operator, values.iter().copied())
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
