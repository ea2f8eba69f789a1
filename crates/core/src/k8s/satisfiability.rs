//! Satisfiability and implication of label requirements.
//!
//! The requirements on one label are merged into one [`Constraint`], because comparing them pair by
//! pair would take quadratic time. Exact for every Kubernetes operator, key by key, except that
//! bounds never imply `In`. Property tests compare the results with trying out values, and with the
//! formulation that compares requirement by requirement.

use smallvec::SmallVec;

use super::requirement::{Operator, Requirement};
use super::values::Values;

/// What several requirements on one label allow together.
#[derive(Clone, Debug, Default)]
pub(super) struct Constraint<'r> {
    /// The values that every `In` lists; `None` without `In`.
    allowed: Option<ValueSet<'r>>,
    /// The values that some `NotIn` lists.
    excluded: Option<ValueSet<'r>>,
    /// The largest bound of `Gt`.
    above: Option<i64>,
    /// The smallest bound of `Lt`.
    below: Option<i64>,
    /// Whether an absent label fails.
    present: bool,
    /// Whether a present label fails.
    absent: bool,
    /// Whether everything fails: `Gt` or `Lt` without exactly one integer.
    impossible: bool,
}

#[derive(Clone, Debug)]
enum ValueSet<'r> {
    /// Those of a single requirement, as in nearly all pods.
    Listed(&'r Values<'r>),
    /// Sorted, without duplicates.
    Merged(Vec<&'r str>),
}

impl<'r> ValueSet<'r> {
    /// The values that all of `lists` have.
    fn intersection(mut lists: SmallVec<[&'r Values<'r>; 2]>) -> Option<Self> {
        if lists.len() < 2 {
            return lists.pop().map(ValueSet::Listed);
        }
        // No list is shorter than the first, so the lookups are at most as many as the values.
        lists.sort_by_key(|list| list.len());
        let mut values = sorted(lists[0]);
        for list in &lists[1..] {
            values.retain(|value| list.contains(value));
        }
        Some(ValueSet::Merged(values))
    }

    /// The values that some of `lists` has.
    fn union(mut lists: SmallVec<[&'r Values<'r>; 2]>) -> Option<Self> {
        if lists.len() < 2 {
            return lists.pop().map(ValueSet::Listed);
        }
        Some(ValueSet::Merged(sorted(lists.into_iter().flatten())))
    }

    fn contains(&self, value: &str) -> bool {
        match self {
            ValueSet::Listed(values) => values.contains(value),
            ValueSet::Merged(values) => values.binary_search(&value).is_ok(),
        }
    }

    fn len(&self) -> usize {
        match self {
            ValueSet::Listed(values) => values.len(),
            ValueSet::Merged(values) => values.len(),
        }
    }

    /// Sorted if there are many.
    fn iter(&self) -> impl Iterator<Item = &'r str> + use<'_, 'r> {
        let (listed, merged) = match self {
            ValueSet::Listed(values) => (Some(*values), None),
            ValueSet::Merged(values) => (None, Some(values)),
        };
        let listed = listed.into_iter().flat_map(Values::sorted);
        listed.chain(merged.into_iter().flatten().copied())
    }
}

fn sorted<'r>(values: impl IntoIterator<Item = &'r super::text::Text<'r>>) -> Vec<&'r str> {
    let mut values: Vec<&str> = values.into_iter().map(|value| &**value).collect();
    values.sort_unstable();
    values.dedup();
    values
}

impl<'r> Constraint<'r> {
    /// What requirements that are all on the same key allow.
    fn all_of(same_key: &[&'r Requirement<'r>]) -> Self {
        let mut constraint = Constraint::default();
        let (mut allowed, mut excluded) = (SmallVec::new(), SmallVec::new());
        for requirement in same_key {
            constraint.present |= !matches!(requirement.operator, Operator::NotIn | Operator::DoesNotExist);
            match (requirement.operator, requirement.bound()) {
                (Operator::In, _) => allowed.push(&requirement.values),
                (Operator::NotIn, _) => excluded.push(&requirement.values),
                (Operator::Exists, _) => {}
                (Operator::DoesNotExist, _) => constraint.absent = true,
                (Operator::Gt, Some(bound)) => constraint.above = constraint.above.max(Some(bound)),
                (Operator::Lt, Some(bound)) => {
                    constraint.below = Some(constraint.below.map_or(bound, |below| below.min(bound)));
                }
                (Operator::Gt | Operator::Lt, None) => constraint.impossible = true,
            }
        }
        constraint.allowed = ValueSet::intersection(allowed);
        constraint.excluded = ValueSet::union(excluded);
        constraint
    }

    /// Whether the label may have this value.
    fn admits(&self, value: &str) -> bool {
        let in_bounds = || {
            self.above.is_none() && self.below.is_none()
                || value.parse().is_ok_and(|value: i64| {
                    self.above.is_none_or(|above| value > above) && self.below.is_none_or(|below| value < below)
                })
        };
        !self.absent
            && !self.impossible
            && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(value))
            && !self.excluded.as_ref().is_some_and(|excluded| excluded.contains(value))
            && in_bounds()
    }
}

/// Requirements that must all hold, merged by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Conjunction<'r> {
    /// Sorted by key.
    by_key: Vec<(&'r str, Constraint<'r>)>,
}

impl<'r> Conjunction<'r> {
    pub(super) fn new(requirements: impl IntoIterator<Item = &'r Requirement<'r>>) -> Self {
        let mut requirements: SmallVec<[&Requirement<'_>; 8]> = requirements.into_iter().collect();
        requirements.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let groups = requirements.chunk_by(|a, b| a.key == b.key);
        Conjunction {
            by_key: groups
                .map(|group| (&*group[0].key, Constraint::all_of(group)))
                .collect(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Constraint<'r>> {
        let at = self.by_key.binary_search_by(|(k, _)| (*k).cmp(key)).ok()?;
        Some(&self.by_key[at].1)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'r str> {
        self.by_key.iter().map(|(key, _)| *key)
    }

    pub(super) fn is_satisfiable(&self) -> bool {
        self.by_key
            .iter()
            .all(|(_, constraint)| Joint([Some(constraint), None, None]).is_satisfiable())
    }
}

/// Constraints of different origin on one label, all of which must hold. They are not merged,
/// because one of them may be long and shared by many joints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joint<'x, 'r>(pub [Option<&'x Constraint<'r>>; 3]);

impl<'x, 'r> Joint<'x, 'r> {
    fn parts(&self) -> impl Iterator<Item = &'x Constraint<'r>> {
        self.0.into_iter().flatten()
    }

    fn admits(&self, value: &str) -> bool {
        self.parts().all(|part| part.admits(value))
    }

    /// The values that the label can have, or `None` if no `In` lists them.
    pub(super) fn admitted(&self) -> Option<impl Iterator<Item = &'r str> + use<'x, 'r>> {
        let lists = self.parts().filter_map(|part| part.allowed.as_ref());
        let shortest = lists.min_by_key(|list| list.len())?;
        let joint = *self;
        Some(shortest.iter().filter(move |value| joint.admits(value)))
    }

    fn above(&self) -> Option<i64> {
        self.parts().filter_map(|part| part.above).max()
    }

    fn below(&self) -> Option<i64> {
        self.parts().filter_map(|part| part.below).min()
    }

    /// Whether some value, or the absence of the label, satisfies all parts.
    pub(super) fn is_satisfiable(&self) -> bool {
        if self.parts().any(|part| part.impossible) {
            return false;
        }
        if let Some(mut admitted) = self.admitted() {
            return admitted.next().is_some();
        }
        if !self.parts().any(|part| part.present) {
            return true;
        }
        if self.parts().any(|part| part.absent) {
            return false;
        }
        // `NotIn` excludes at most as many integers as it lists. Any other text is always left.
        let excluded: usize = self
            .parts()
            .filter_map(|part| part.excluded.as_ref())
            .map(ValueSet::len)
            .sum();
        let steps = 1..=i64::try_from(excluded).unwrap_or(i64::MAX).saturating_add(1);
        let is_admitted = |n: i64| self.admits(&n.to_string());
        match (self.above(), self.below()) {
            (None, None) => true,
            (Some(above), below) => steps
                .map_while(|step| above.checked_add(step))
                .take_while(|n| below.is_none_or(|below| *n < below))
                .any(is_admitted),
            (None, Some(below)) => steps.map_while(|step| below.checked_sub(step)).any(is_admitted),
        }
    }

    /// Whether everything that satisfies all parts also satisfies `required`, which is on the same
    /// label.
    pub(super) fn implies(&self, required: &Requirement<'_>) -> bool {
        // What cannot be satisfied admits no node, so it implies anything.
        if !self.is_satisfiable() {
            return true;
        }
        if let Some(mut admitted) = self.admitted() {
            return admitted.all(|value| required.matches_value(Some(value)));
        }
        match required.operator {
            Operator::In => false,
            Operator::NotIn => !required.values.iter().any(|value| self.admits(value)),
            Operator::Exists => self.parts().any(|part| part.present),
            Operator::DoesNotExist => self.parts().any(|part| part.absent),
            Operator::Gt => (self.above().zip(required.bound())).is_some_and(|(above, bound)| above >= bound),
            Operator::Lt => (self.below().zip(required.bound())).is_some_and(|(below, bound)| below <= bound),
        }
    }
}

/// Whether some set of labels satisfies all requirements.
pub(super) fn satisfiable<'r>(requirements: impl IntoIterator<Item = &'r Requirement<'r>>) -> bool {
    Conjunction::new(requirements).is_satisfiable()
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
            let conjunction = Conjunction::new(&own);
            let implies = Joint([conjunction.get("k"), None, None]).implies(&required);
            if implies {
                prop_assert!(admitted.iter().all(|value| required.matches_value(*value)));
            }
            if own.len() == 1 && own[0] == required {
                prop_assert!(implies);
            }
        }
    }
}
