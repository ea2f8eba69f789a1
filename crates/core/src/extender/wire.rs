//! The wire format of `k8s.io/kube-scheduler/extender/v1`.
//!
//! Its Go structs have no JSON tags: keys are Go's field names, and absent values are sent as
//! `null`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::inventory::UnfitReasonKind;
use crate::k8s::{Pod, Text};

/// `ExtenderArgs`: the arguments of filter and prioritize.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Args<'a> {
    /// Has no `kind` and no `apiVersion`.
    #[serde(borrow)]
    pub pod: Pod<'a>,
    /// Set by a scheduler with `nodeCacheCapable: false`.
    #[serde(default, borrow)]
    pub nodes: Option<NodeList<'a>>,
    /// Set by a scheduler with `nodeCacheCapable: true`.
    #[serde(default, borrow)]
    pub node_names: Option<Vec<Text<'a>>>,
}

/// A `v1.NodeList` whose items stay raw: those that fit are returned unchanged.
#[derive(Debug, Deserialize)]
pub struct NodeList<'a> {
    #[serde(default, borrow)]
    pub items: Option<Vec<&'a RawValue>>,
}

/// `ExtenderFilterResult`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FilterResult<'a> {
    /// The nodes that fit, if the call has `Nodes`.
    pub nodes: Option<Nodes<'a>>,
    /// The names that fit, if the call has `NodeNames`. Never `null` then: the scheduler reads
    /// `null` as no node at all.
    pub node_names: Option<Vec<&'a str>>,
    /// Why nodes do not fit, where an eviction would help.
    pub failed_nodes: BTreeMap<&'a str, String>,
    /// Why nodes do not fit, where no eviction would help.
    pub failed_and_unresolvable_nodes: BTreeMap<&'a str, String>,
    /// Why there is no answer; empty if there is one.
    pub error: String,
    /// How many nodes do not fit for each reason, by [`UnfitReasonKind::index`]. For metrics; not
    /// sent.
    #[serde(skip)]
    pub unfit_reasons: [u64; UnfitReasonKind::ALL.len()],
    /// Whether a node has no free share by our count although nothing is reserved there. The
    /// scheduler counts shares too and asks only about nodes with enough, so its state or ours is
    /// stale. Not sent.
    #[serde(skip)]
    pub stale: bool,
}

/// A `v1.NodeList` to send.
#[derive(Debug, Serialize)]
pub struct Nodes<'a> {
    /// `ListMeta` is not optional in Go, so it is sent empty.
    pub metadata: Empty,
    pub items: Vec<&'a RawValue>,
}

/// `{}`.
#[derive(Debug, Default, Serialize)]
pub struct Empty {}

/// `HostPriority`: an entry of the answer to prioritize, which is a bare list.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostPriority<'a> {
    pub host: &'a str,
    /// From 0 to 10. The scheduler multiplies it by the extender's weight and by 10, without an
    /// upper limit.
    pub score: i64,
}

/// `ExtenderPreemptionArgs`: the nodes on which the scheduler's own preemption would make room, and
/// its victims there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PreemptionArgs<'a> {
    /// The preemptor.
    #[serde(borrow)]
    pub pod: Pod<'a>,
    /// Set by a scheduler with `nodeCacheCapable: false`.
    #[serde(default, borrow)]
    pub node_name_to_victims: Option<BTreeMap<Text<'a>, Option<Victims<'a>>>>,
    /// Set by a scheduler with `nodeCacheCapable: true`.
    #[serde(default, borrow)]
    pub node_name_to_meta_victims: Option<BTreeMap<Text<'a>, Option<MetaVictims<'a>>>>,
}

/// `Victims`.
#[derive(Debug, Default, Deserialize)]
pub struct Victims<'a> {
    /// The most important first.
    #[serde(default, rename = "Pods", borrow)]
    pub pods: Option<Vec<VictimPod<'a>>>,
    /// How many victims violate a `PodDisruptionBudget`.
    #[serde(default, rename = "NumPDBViolations")]
    pub pdb_violations: i64,
}

/// The part of a victim's `v1.Pod` that is read.
#[derive(Debug, Deserialize)]
pub struct VictimPod<'a> {
    #[serde(borrow)]
    pub metadata: VictimMetadata<'a>,
}

/// The part of a victim's `metav1.ObjectMeta` that is read.
#[derive(Debug, Deserialize)]
pub struct VictimMetadata<'a> {
    #[serde(borrow)]
    pub uid: Text<'a>,
}

/// `MetaVictims`.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct MetaVictims<'a> {
    /// The most important first. An empty list fails the scheduler's whole preemption.
    #[serde(default, rename = "Pods", borrow)]
    pub pods: Option<Vec<MetaPod<'a>>>,
    /// How many victims violate a `PodDisruptionBudget`.
    #[serde(default, rename = "NumPDBViolations")]
    pub pdb_violations: i64,
}

/// `MetaPod`.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct MetaPod<'a> {
    #[serde(rename = "UID", borrow)]
    pub uid: Cow<'a, str>,
}

/// `ExtenderPreemptionResult`: UIDs, whichever form the call has.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PreemptionResult<'a> {
    /// The nodes that remain, and the victims there. An empty map is valid: no pod is evicted then.
    pub node_name_to_meta_victims: BTreeMap<&'a str, MetaVictims<'a>>,
}
