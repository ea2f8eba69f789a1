//! Affinity and topology spread constraints of a pod.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::requirement::Requirement;
use super::text::{Text, null_as_default};

/// A `v1.Affinity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Affinity<'a> {
    #[serde(default, borrow)]
    pub node_affinity: Option<NodeAffinity<'a>>,
    #[serde(default)]
    pub pod_affinity: Option<PodAffinity>,
    #[serde(default)]
    pub pod_anti_affinity: Option<PodAffinity>,
}

/// A `v1.NodeAffinity`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeAffinity<'a> {
    #[serde(default, borrow, rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector<'a>>,
    /// Only kube-scheduler reads what the preferences say. Here only their number matters.
    #[serde(
        default,
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "null_as_default"
    )]
    pub preferred: Vec<IgnoredAny>,
}

/// A `v1.PodAffinity` or `v1.PodAntiAffinity`, without the required terms.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PodAffinity {
    #[serde(
        default,
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "null_as_default"
    )]
    pub preferred: Vec<IgnoredAny>,
}

/// A `v1.TopologySpreadConstraint`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpreadConstraint<'a> {
    /// `DoNotSchedule`, which kube-scheduler filters by, or `ScheduleAnyway`, a preference.
    #[serde(default, borrow)]
    pub when_unsatisfiable: Option<Text<'a>>,
}

/// A `v1.NodeSelector`: a node must match at least one of its terms.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub node_selector_terms: Vec<NodeSelectorTerm<'a>>,
}

/// A `v1.NodeSelectorTerm`: all of its expressions must hold, and an empty term matches no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelectorTerm<'a> {
    /// `None` if the key is missing or null. A patch must then add the list before its elements.
    #[serde(default, borrow, rename = "matchExpressions")]
    expressions: Option<Vec<Requirement<'a>>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub match_fields: Vec<Requirement<'a>>,
}

impl<'a> NodeSelectorTerm<'a> {
    pub fn into_owned(self) -> NodeSelectorTerm<'static> {
        let own = |list: Vec<Requirement<'a>>| list.into_iter().map(Requirement::into_owned).collect();
        NodeSelectorTerm {
            expressions: self.expressions.map(own),
            match_fields: own(self.match_fields),
        }
    }

    pub fn match_expressions(&self) -> &[Requirement<'a>] {
        self.expressions.as_deref().unwrap_or_default()
    }

    /// Whether the document contains `matchExpressions`, even as an empty list.
    pub fn has_expression_list(&self) -> bool {
        self.expressions.is_some()
    }

    /// Whether the term has no expression at all, and so matches no node.
    pub fn is_empty(&self) -> bool {
        self.match_expressions().is_empty() && self.match_fields.is_empty()
    }
}
