//! The wire format of `k8s.io/kube-scheduler/extender/v1`.
//!
//! Its Go structs have no JSON tags: keys are Go's field names, and what is absent is sent as `null`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::inventory::UnfitReasonKind;
use crate::k8s::{Pod, Text};

/// `ExtenderArgs`: the question of filter and prioritize.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Args<'a> {
    /// The pod, without kind and `apiVersion`.
    #[serde(borrow)]
    pub pod: Pod<'a>,
    /// Whole nodes, from a scheduler with `nodeCacheCapable: false`.
    #[serde(default, borrow)]
    pub nodes: Option<NodeList<'a>>,
    /// Names of nodes, from one with `nodeCacheCapable: true`.
    #[serde(default, borrow)]
    pub node_names: Option<Vec<Text<'a>>>,
}

/// A `v1.NodeList`, its items still as bytes: those that fit go back as they came.
#[derive(Debug, Deserialize)]
pub struct NodeList<'a> {
    /// The nodes.
    #[serde(default, borrow)]
    pub items: Option<Vec<&'a RawValue>>,
}

/// `ExtenderFilterResult`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FilterResult<'a> {
    /// Nodes that fit, when nodes were asked about.
    pub nodes: Option<Nodes<'a>>,
    /// Names that fit, when names were asked about. Never `null` then: the scheduler reads `null` as no node at all.
    pub node_names: Option<Vec<&'a str>>,
    /// Why others do not, where an eviction would help.
    pub failed_nodes: BTreeMap<&'a str, String>,
    /// Why others do not, where none would.
    pub failed_and_unresolvable_nodes: BTreeMap<&'a str, String>,
    /// Why there is no answer.
    pub error: String,
    /// How many nodes were left out for each kind of lack, by [`UnfitReasonKind::index`]. For counting; not sent.
    #[serde(skip)]
    pub unfit_reasons: [u64; UnfitReasonKind::ALL.len()],
    /// Whether a node has no share free by our count, with nothing reserved there. The scheduler counts shares as well, and asks about
    /// nodes alone where it found enough: so what we know is behind, or what it knows. Not sent.
    #[serde(skip)]
    pub behind: bool,
}

/// A `v1.NodeList` to send.
#[derive(Debug, Serialize)]
pub struct Nodes<'a> {
    /// `ListMeta` is not optional in Go, so an empty one is sent.
    pub metadata: Empty,
    /// The nodes.
    pub items: Vec<&'a RawValue>,
}

/// `{}`.
#[derive(Debug, Default, Serialize)]
pub struct Empty {}

/// `HostPriority`: one entry of prioritize's answer, which is a bare list.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostPriority<'a> {
    /// The node.
    pub host: &'a str,
    /// From 0 to 10. The scheduler multiplies it by the extender's weight and by 10, without a limit.
    pub score: i64,
}

/// `ExtenderPreemptionArgs`: nodes that the scheduler's own preemption could make room on, and whom it would evict there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PreemptionArgs<'a> {
    /// The pod that is to have the room.
    #[serde(borrow)]
    pub pod: Pod<'a>,
    /// Whole pods, from a scheduler with `nodeCacheCapable: false`.
    #[serde(default, borrow)]
    pub node_name_to_victims: Option<BTreeMap<Text<'a>, Option<Victims<'a>>>>,
    /// UIDs of pods, from one with `nodeCacheCapable: true`.
    #[serde(default, borrow)]
    pub node_name_to_meta_victims: Option<BTreeMap<Text<'a>, Option<MetaVictims<'a>>>>,
}

/// `Victims`.
#[derive(Debug, Default, Deserialize)]
pub struct Victims<'a> {
    /// Those to be evicted, the most important first.
    #[serde(default, rename = "Pods", borrow)]
    pub pods: Option<Vec<VictimPod<'a>>>,
    /// How many evictions break a `PodDisruptionBudget`.
    #[serde(default, rename = "NumPDBViolations")]
    pub pdb_violations: i64,
}

/// A `v1.Pod` that is to be evicted, as far as it is read here: who it is.
#[derive(Debug, Deserialize)]
pub struct VictimPod<'a> {
    /// Its metadata.
    #[serde(borrow)]
    pub metadata: VictimMetadata<'a>,
}

/// Its `metav1.ObjectMeta`.
#[derive(Debug, Deserialize)]
pub struct VictimMetadata<'a> {
    /// Its UID.
    #[serde(borrow)]
    pub uid: Text<'a>,
}

/// `MetaVictims`.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct MetaVictims<'a> {
    /// Those to be evicted, the most important first. An empty list fails the scheduler's whole preemption.
    #[serde(default, rename = "Pods", borrow)]
    pub pods: Option<Vec<MetaPod<'a>>>,
    /// How many evictions break a `PodDisruptionBudget`.
    #[serde(default, rename = "NumPDBViolations")]
    pub pdb_violations: i64,
}

/// `MetaPod`.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct MetaPod<'a> {
    /// The pod's UID.
    #[serde(rename = "UID", borrow)]
    pub uid: Cow<'a, str>,
}

/// `ExtenderPreemptionResult`: UIDs, whatever was asked with.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PreemptionResult<'a> {
    /// The nodes that are left, and who is to be evicted there. None at all is an answer: nobody is evicted then.
    pub node_name_to_meta_victims: BTreeMap<&'a str, MetaVictims<'a>>,
}
