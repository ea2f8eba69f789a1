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
    fn overlap_and_implication_of_selectors() {
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
        for (one, two, overlap, implies, implied) in [
            (&any, &any, true, true, true),
            (&a, &any, true, true, false),
            (&a, &ab, true, true, false),
            (&a, &c, false, false, false),
            (&ab, &not_a, true, false, false),
            (&a, &not_a, false, false, false),
            (&c, &not_a, true, true, false),
            (&a, &some, true, true, false),
            (&a, &other, true, false, false),
            (&nothing, &a, false, true, false),
        ] {
            let found = (one.overlaps(two), one.implies(two), two.implies(one));
            assert_eq!(found, (overlap, implies, implied), "{one:?} {two:?}");
            assert_eq!(two.overlaps(one), overlap, "{one:?} {two:?}");
        }
        assert!(any.is_satisfiable() && !nothing.is_satisfiable());
    }

    #[test]
    fn the_empty_selector_matches_everything() {
        assert!(LabelSelector::default().matches(&Labels::default()));
    }
}
