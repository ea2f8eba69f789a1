//! Label selectors, with all the rules of `metav1.LabelSelector`.

use super::labels::LabelSource;
use super::requirement::Requirement;
use super::satisfiability::{Conjunction, Joint, satisfiable};

/// All requirements must hold. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// Those of `matchLabels` come first.
    pub requirements: Vec<Requirement<'static>>,
}

impl LabelSelector {
    pub fn matches(&self, labels: &impl LabelSource) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether some set of labels satisfies the selector.
    pub fn is_satisfiable(&self) -> bool {
        satisfiable(&self.requirements)
    }

    /// Whether some set of labels satisfies both selectors.
    pub fn overlaps(&self, other: &LabelSelector) -> bool {
        satisfiable(self.requirements.iter().chain(&other.requirements))
    }

    /// Whether every set of labels that satisfies this selector also satisfies `other`.
    pub fn implies(&self, other: &LabelSelector) -> bool {
        let all = Conjunction::new(&self.requirements);
        let implied = |required: &Requirement<'_>| Joint([all.get(&required.key), None, None]).implies(required);
        !all.is_satisfiable() || other.requirements.iter().all(implied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::{Labels, Operator};

    #[test]
    fn selectors_overlap_or_imply_each_other_by_their_requirements() {
        use Operator::{DoesNotExist, Exists, In, NotIn};
        let selector = |list: &[(&str, Operator, &[&str])]| LabelSelector {
            requirements: list
                .iter()
                .map(|(key, operator, values)| Requirement::new(*key, *operator, values.iter().copied()))
                .collect(),
        };
        let any = selector(&[]);
        let a = selector(&[("team", In, &["a"])]);
        let ab = selector(&[("team", In, &["a", "b"])]);
        let c = selector(&[("team", In, &["c"])]);
        let not_a = selector(&[("team", NotIn, &["a"])]);
        let some = selector(&[("team", Exists, &[])]);
        let other = selector(&[("zone", Exists, &[])]);
        let nothing = selector(&[("team", Exists, &[]), ("team", DoesNotExist, &[])]);
        for (one, two, relation) in [
            (&any, &any, "overlaps, implies, is implied"),
            (&a, &any, "overlaps, implies"),
            (&a, &ab, "overlaps, implies"),
            (&a, &c, ""),
            (&ab, &not_a, "overlaps"),
            (&a, &not_a, ""),
            (&c, &not_a, "overlaps, implies"),
            (&a, &some, "overlaps, implies"),
            (&a, &other, "overlaps"),
            (&nothing, &a, "implies"),
        ] {
            let relations = [
                ("overlaps", one.overlaps(two)),
                ("implies", one.implies(two)),
                ("is implied", two.implies(one)),
            ];
            let found: Vec<&str> = relations
                .into_iter()
                .filter_map(|(name, holds)| holds.then_some(name))
                .collect();
            assert_eq!(found.join(", "), relation, "{one:?} {two:?}");
            assert_eq!(two.overlaps(one), one.overlaps(two), "{one:?} {two:?}");
        }
        assert!(any.is_satisfiable() && !nothing.is_satisfiable());
    }

    #[test]
    fn the_empty_selector_matches_everything() {
        assert!(LabelSelector::default().matches(&Labels::default()));
    }
}
