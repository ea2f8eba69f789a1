//! Requirements on one label, as in label selectors and node selectors.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::labels::LabelSource;
use super::text::{Text, null_as_default};
use super::values::Values;

/// `Gt` and `Lt` exist only in a `v1.NodeSelectorRequirement`, not in a `metav1.LabelSelector`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer greater than the only value.
    Gt,
    /// The label is an integer less than the only value.
    Lt,
}

impl Operator {
    pub const ALL: [Operator; 6] = [
        Operator::In,
        Operator::NotIn,
        Operator::Exists,
        Operator::DoesNotExist,
        Operator::Gt,
        Operator::Lt,
    ];

    /// The operator as manifests spell it.
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

    pub fn parse(name: &str) -> Option<Self> {
        Operator::ALL.into_iter().find(|operator| operator.as_str() == name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement<'a> {
    pub key: Text<'a>,
    pub operator: Operator,
    pub values: Values<'a>,
}

impl Requirement<'static> {
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
    pub fn into_owned(self) -> Requirement<'static> {
        Requirement {
            key: self.key.into_owned(),
            operator: self.operator,
            values: self.values.into_owned(),
        }
    }

    /// Whether a label with this value satisfies the requirement; `None` means that the label is
    /// absent.
    ///
    /// Follows `k8s.io/apimachinery/pkg/labels.Requirement.Matches`: an absent label satisfies only
    /// `NotIn` and `DoesNotExist`, and `Gt` and `Lt` need an integer on both sides.
    pub fn matches_value(&self, value: Option<&str>) -> bool {
        match (self.operator, value) {
            (Operator::In, Some(value)) => self.values.contains(value),
            (Operator::NotIn, Some(value)) => !self.values.contains(value),
            (Operator::Exists, Some(_)) | (Operator::NotIn | Operator::DoesNotExist, None) => true,
            (Operator::Gt, Some(value)) => self.compare(value, |label, bound| label > bound),
            (Operator::Lt, Some(value)) => self.compare(value, |label, bound| label < bound),
            (Operator::DoesNotExist, Some(_))
            | (Operator::In | Operator::Exists | Operator::Gt | Operator::Lt, None) => false,
        }
    }

    pub fn matches(&self, labels: &impl LabelSource) -> bool {
        self.matches_value(labels.label(&self.key))
    }

    /// The integer that `Gt` and `Lt` compare with; `None` if the values are not exactly one
    /// integer.
    pub(crate) fn bound(&self) -> Option<i64> {
        match &self.values[..] {
            [one] => one.parse().ok(),
            _ => None,
        }
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

impl<'de: 'a, 'a> Deserialize<'de> for Requirement<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            key: Text<'a>,
            #[serde(borrow)]
            operator: Text<'a>,
            #[serde(default, borrow, deserialize_with = "null_as_default")]
            values: Values<'a>,
        }
        let wire = Wire::deserialize(deserializer)?;
        let operator = Operator::parse(&wire.operator).ok_or_else(|| {
            D::Error::custom(format_args!(
                "`{}` is not an operator of a node selector; use In, NotIn, Exists, DoesNotExist, Gt or Lt",
                wire.operator
            ))
        })?;
        Ok(Requirement {
            key: wire.key,
            operator,
            values: wire.values,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::Labels;

    #[test]
    fn operators_match_present_and_absent_labels() {
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
    fn operator_names_round_trip() {
        for operator in Operator::ALL {
            assert_eq!(Operator::parse(operator.as_str()), Some(operator));
        }
        assert_eq!(Operator::parse("in"), None);
    }

    #[test]
    fn an_unknown_operator_error_lists_the_valid_ones() {
        let error = serde_json::from_str::<Requirement<'_>>(r#"{"key":"a","operator":"Is"}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`Is`") && error.contains("use In, NotIn"), "{error}");
    }
}
