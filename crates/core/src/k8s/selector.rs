//! Label selectors and node selector requirements, with Kubernetes' full semantics.

use std::fmt;

use super::entailment;
use super::text::{LabelSource, Text};

/// How a requirement compares a label.
///
/// The first four exist in a `metav1.LabelSelector`; `Gt` and `Lt` only in a `v1.NodeSelectorRequirement`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label is one of the values.
    In,
    /// The label is absent or none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer above the one value.
    Gt,
    /// The label is an integer below the one value.
    Lt,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Operator; 6] = [
        Operator::In,
        Operator::NotIn,
        Operator::Exists,
        Operator::DoesNotExist,
        Operator::Gt,
        Operator::Lt,
    ];

    /// The name in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::In => "In",
            Operator::NotIn => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
            Operator::Gt => "Gt",
            Operator::Lt => "Lt",
        }
    }

    /// The operator of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Operator::ALL.into_iter().find(|operator| operator.as_str() == name)
    }
}

/// One comparison of one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement<'a> {
    /// The label's key.
    pub key: Text<'a>,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<Text<'a>>,
}

impl Requirement<'static> {
    /// A requirement of our own.
    pub fn new<V: Into<String>>(
        key: impl Into<String>,
        operator: Operator,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Requirement {
            key: Text::from(key.into()),
            operator,
            values: values.into_iter().map(|value| Text::from(value.into())).collect(),
        }
    }
}

impl Requirement<'_> {
    /// A copy that owns its strings.
    pub fn into_owned(self) -> Requirement<'static> {
        Requirement {
            key: self.key.into_owned(),
            operator: self.operator,
            values: self.values.into_iter().map(Text::into_owned).collect(),
        }
    }

    /// Whether a label with this value (or its absence) satisfies the requirement.
    ///
    /// `k8s.io/apimachinery/pkg/labels.Requirement.Matches`: an absent label satisfies `NotIn` and `DoesNotExist` alone, and
    /// `Gt`/`Lt` want an integer on both sides.
    pub fn matches_value(&self, value: Option<&str>) -> bool {
        match (self.operator, value) {
            (Operator::In, Some(value)) => self.has(value),
            (Operator::NotIn, Some(value)) => !self.has(value),
            (Operator::Exists, Some(_)) | (Operator::NotIn | Operator::DoesNotExist, None) => true,
            (Operator::Gt, Some(value)) => self.compare(value, |label, bound| label > bound),
            (Operator::Lt, Some(value)) => self.compare(value, |label, bound| label < bound),
            (Operator::DoesNotExist, Some(_))
            | (Operator::In | Operator::Exists | Operator::Gt | Operator::Lt, None) => false,
        }
    }

    /// Whether these labels satisfy the requirement.
    pub fn matches(&self, labels: &impl LabelSource) -> bool {
        self.matches_value(labels.label(&self.key))
    }

    /// The one integer of `Gt` and `Lt`.
    pub(crate) fn bound(&self) -> Option<i64> {
        match &self.values[..] {
            [one] => one.parse().ok(),
            _ => None,
        }
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|v| &**v == value)
    }

    fn compare(&self, label: &str, holds: impl Fn(i64, i64) -> bool) -> bool {
        match (label.parse(), self.bound()) {
            (Ok(label), Some(bound)) => holds(label, bound),
            _ => false,
        }
    }
}

impl fmt::Display for Requirement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = || self.values.iter().map(|v| &**v).collect::<Vec<_>>().join(", ");
        match self.operator {
            Operator::In if self.values.len() == 1 => write!(f, "{}={}", self.key, self.values[0]),
            Operator::NotIn if self.values.len() == 1 => write!(f, "{}!={}", self.key, self.values[0]),
            Operator::In => write!(f, "{} in ({})", self.key, list()),
            Operator::NotIn => write!(f, "{} not in ({})", self.key, list()),
            Operator::Exists => write!(f, "{} exists", self.key),
            Operator::DoesNotExist => write!(f, "no {}", self.key),
            Operator::Gt => write!(f, "{} > {}", self.key, list()),
            Operator::Lt => write!(f, "{} < {}", self.key, list()),
        }
    }
}

/// A `metav1.LabelSelector`: all of its requirements hold. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// The requirements, those of `matchLabels` first.
    pub requirements: Vec<Requirement<'static>>,
}

impl LabelSelector {
    /// Whether these labels satisfy the selector.
    pub fn matches(&self, labels: &impl LabelSource) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether some set of labels satisfies the selector.
    pub fn is_satisfiable(&self) -> bool {
        entailment::satisfiable(&self.requirements)
    }

    /// Whether some set of labels satisfies both selectors.
    pub fn overlaps(&self, other: &LabelSelector) -> bool {
        entailment::satisfiable(self.requirements.iter().chain(&other.requirements))
    }

    /// Whether every set of labels that satisfies this selector satisfies `other` too.
    pub fn implies(&self, other: &LabelSelector) -> bool {
        let all: Vec<&Requirement<'_>> = self.requirements.iter().collect();
        !self.is_satisfiable()
            || other
                .requirements
                .iter()
                .all(|wanted| entailment::implies(&all, wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::text::Labels;

    #[test]
    fn each_operator_on_a_present_an_other_and_an_absent_label() {
        use Operator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
        let labels = Labels::from_iter([("team", "vision"), ("gpus", "8"), ("word", "x")]);
        for (key, operator, values, expected) in [
            ("team", In, vec!["vision", "nlp"], true),
            ("team", In, vec!["nlp"], false),
            ("absent", In, vec!["vision"], false),
            ("team", NotIn, vec!["vision"], false),
            ("team", NotIn, vec!["nlp"], true),
            ("absent", NotIn, vec!["vision"], true),
            ("team", Exists, vec![], true),
            ("absent", Exists, vec![], false),
            ("team", DoesNotExist, vec![], false),
            ("absent", DoesNotExist, vec![], true),
            ("gpus", Gt, vec!["7"], true),
            ("gpus", Gt, vec!["8"], false),
            ("gpus", Lt, vec!["9"], true),
            ("word", Gt, vec!["0"], false),
            ("absent", Lt, vec!["9"], false),
            ("gpus", Gt, vec!["x"], false),
            ("gpus", Gt, vec!["1", "2"], false),
        ] {
            let requirement = Requirement::new(key, operator, values);
            assert_eq!(requirement.matches(&labels), expected, "{requirement}");
        }
    }

    #[test]
    fn names_of_operators_are_read_back() {
        for operator in Operator::ALL {
            assert_eq!(Operator::parse(operator.as_str()), Some(operator));
        }
        assert_eq!(Operator::parse("in"), None);
    }

    #[test]
    fn selectors_are_compared_by_what_they_match() {
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
