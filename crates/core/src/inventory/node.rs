//! One node: its offers and what is taken of them.

use std::sync::Arc;

use super::derive::derive;
use super::node_usage::{NodeUsage, PodRequestRef};
use super::offer::{NodeOffers, Offer};
use super::pod::PodEntry;
use super::scheduling_constraints::SchedulingConstraints;
use super::unfit_reason::UnfitReason;
use crate::k8s::text::Labels;
use crate::k8s::{Node, Taint};
use crate::policy::SharingRule;

/// A node as the inventory knows it. What the node itself says is shared among copies, since most changes are of the pods on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Its taints.
    pub taints: Arc<[Taint<'static>]>,
    /// Whether some taint asks pods to go elsewhere if they can.
    pub spared: bool,
    /// Whether it takes new pods: ready and not cordoned.
    pub open: bool,
    /// Whether an administrator keeps new pods away. Such a node is not open; one that is neither open nor cordoned is not ready.
    pub cordoned: bool,
    /// What it gives.
    pub offers: Arc<NodeOffers>,
    /// What the pods on it hold.
    pub held: NodeUsage,
    /// The pods on it that hold GPUs, by `namespace/name`.
    pub pods: Vec<Arc<PodEntry>>,
}

impl NodeEntry {
    /// A node that nothing runs on.
    pub fn of(node: Node<'_>) -> Self {
        NodeEntry {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            offers: Arc::new(derive(&node)),
            open: node.is_ready() && !node.is_cordoned(),
            cordoned: node.is_cordoned(),
            labels: Arc::new(Labels::from(&node.metadata.labels)),
            spared: node.spec.taints.iter().any(Taint::discourages),
            taints: node.spec.taints.into_iter().map(Taint::into_owned).collect(),
            held: NodeUsage::default(),
            pods: Vec::new(),
        }
    }

    /// Shares of an offer that nobody holds. Never negative: a plugin may take shares back that are in use.
    pub fn free(&self, offer: &Offer) -> u64 {
        offer.total.saturating_sub(self.held.counts().get(offer.resource))
    }

    /// Whether the pod may run here, as far as it says, and the node takes new pods.
    pub fn is_reachable(&self, scheduling: &SchedulingConstraints<'_>) -> bool {
        self.open && scheduling.admit(&self.name, &self.labels, &self.taints)
    }

    /// The node once what is reserved there has come to be held.
    #[must_use]
    pub fn with(&self, reserved: &NodeUsage) -> NodeEntry {
        let mut held = self.held.clone();
        held.merge(reserved);
        NodeEntry { held, ..self.clone() }
    }

    /// Whether the node can hold a newcomer now under one of `rules`, the same for every resource of it.
    pub fn hold<'r>(
        &self,
        pod_request: &PodRequestRef<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule>,
    ) -> Result<(), UnfitReason> {
        self.offers.suit(pod_request, rules)?;
        self.has_room(pod_request)
    }

    /// Whether there is room for a newcomer whom the offers suit: enough that is free, and neighbours that it can stand.
    pub fn has_room(&self, pod_request: &PodRequestRef<'_>) -> Result<(), UnfitReason> {
        for (resource, needs) in pod_request.demand.iter() {
            let offer = self.offers.get(resource).ok_or(UnfitReason::NoOffer(resource))?;
            let free = self.free(offer);
            if needs > free {
                return Err(UnfitReason::Taken {
                    resource,
                    free,
                    total: offer.total,
                    needs,
                });
            }
        }
        self.check_neighbours(pod_request)
    }
}
