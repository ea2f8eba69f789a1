//! A node as the inventory knows it: its offers and what pods hold of them.

use std::sync::Arc;

use super::derive::derive;
use super::node_usage::NodeUsage;
use super::offer::{NodeOffers, Offer};
use super::pod::PodEntry;
use super::scheduling_constraints::SchedulingConstraints;
use crate::k8s::Labels;
use crate::k8s::{Node, Taint};

/// Fields that come from the node object are behind `Arc`: most changes are to the pods on a node,
/// and copies share the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    pub name: Arc<str>,
    pub labels: Arc<Labels>,
    pub taints: Arc<[Taint<'static>]>,
    /// Whether the node has a `PreferNoSchedule` taint.
    pub prefer_no_schedule: bool,
    /// Whether the node takes new pods: ready and not cordoned.
    pub schedulable: bool,
    /// `spec.unschedulable`. A node that is neither schedulable nor cordoned is not ready.
    pub cordoned: bool,
    pub offers: Arc<NodeOffers>,
    /// What the pods on the node hold.
    pub usage: NodeUsage,
    /// The pods on the node that hold GPUs, in the order of `namespace/name`.
    pub pods: Vec<Arc<PodEntry>>,
}

impl NodeEntry {
    /// A node without pods.
    pub fn new(node: Node<'_>) -> Self {
        NodeEntry {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            offers: Arc::new(derive(&node)),
            schedulable: node.is_ready() && !node.is_cordoned(),
            cordoned: node.is_cordoned(),
            labels: Arc::new(Labels::from(&node.metadata.labels)),
            prefer_no_schedule: node.spec.taints.iter().any(Taint::is_soft),
            taints: node.spec.taints.into_iter().map(Taint::into_owned).collect(),
            usage: NodeUsage::default(),
            pods: Vec::new(),
        }
    }

    /// Free shares of an offer. Zero if pods hold more than there are: a device plugin may withdraw
    /// shares that are in use.
    pub fn free(&self, offer: &Offer) -> u64 {
        offer.total.saturating_sub(self.usage.counts().get(offer.resource))
    }

    /// Whether the node takes new pods and the pod's own constraints let it run here.
    pub fn is_reachable(&self, scheduling: &SchedulingConstraints<'_>) -> bool {
        self.schedulable && scheduling.admit(&self.name, &self.labels, &self.taints)
    }

    /// The node as it will be once pods also hold what is reserved.
    #[must_use]
    pub fn with_usage(&self, reserved: &NodeUsage) -> NodeEntry {
        let mut usage = self.usage.clone();
        usage.merge(reserved);
        NodeEntry { usage, ..self.clone() }
    }
}
