//! One node: its offers and what is taken of them.

use std::sync::Arc;

use super::derive::derive;
use super::holdings::{Holding, Holdings};
use super::lack::Lack;
use super::offer::{NodeOffers, Offer};
use super::pod::PodEntry;
use super::whereabouts::Whereabouts;
use crate::gpu::{GpuResource, MiB, SharingRule};
use crate::object::text::Labels;
use crate::object::{Node, Taint};

/// A node as the inventory knows it. What the node itself says is shared among copies, since most changes are of the pods on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Its taints.
    pub taints: Arc<[Taint<'static>]>,
    /// Whether it takes new pods: ready and not cordoned.
    pub open: bool,
    /// Whether an administrator keeps new pods away. Such a node is not open; one that is neither open nor cordoned is not ready.
    pub cordoned: bool,
    /// What it gives.
    pub offers: Arc<NodeOffers>,
    /// What the pods on it hold.
    pub held: Holdings,
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
            taints: node.spec.taints.into_iter().map(Taint::into_owned).collect(),
            held: Holdings::default(),
            pods: Vec::new(),
        }
    }

    /// Shares of an offer that nobody holds. Never negative: a plugin may take shares back that are in use.
    pub fn free(&self, offer: &Offer) -> u64 {
        offer.total.saturating_sub(self.held.counts().get(offer.resource))
    }

    /// Whether the pod may run here, as far as it says, and the node takes new pods.
    pub fn is_reachable(&self, whereabouts: &Whereabouts<'_>) -> bool {
        self.open && whereabouts.admit(&self.name, &self.labels, &self.taints)
    }

    /// The node once what is reserved there has come to be held.
    #[must_use]
    pub fn with(&self, reserved: &Holdings) -> NodeEntry {
        let mut held = self.held.clone();
        held.merge(reserved);
        NodeEntry { held, ..self.clone() }
    }

    /// Whether the node can hold a newcomer now under one of `rules`, the same for every resource of it.
    pub fn hold<'r>(
        &self,
        newcomer: &Holding<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule>,
    ) -> Result<(), Lack> {
        let demand = newcomer.demand;
        if let Some(pause) = &self.offers.paused {
            return Err(Lack::Paused(pause.clone()));
        }
        for (resource, _) in demand.iter() {
            if self.offers.get(resource).is_none() {
                let problem = self.offers.problem(resource);
                return Err(problem.map_or(Lack::NoOffer(resource), |p| Lack::Doubtful(resource, p.short)));
            }
        }
        // The lack that came furthest tells most: a rule of another strategy says little.
        let mut furthest: Option<(u8, Lack)> = None;
        for rule in rules {
            match self.hold_under(newcomer, rule) {
                Ok(()) => return Ok(()),
                Err(lack) => {
                    let depth = depth(&lack);
                    if furthest.as_ref().is_none_or(|(d, _)| depth > *d) {
                        furthest = Some((depth, lack));
                    }
                }
            }
        }
        match (furthest, demand.iter().next()) {
            (Some((_, lack)), _) => Err(lack),
            (None, Some((resource, _))) => Err(Lack::NoOffer(resource)),
            (None, None) => Ok(()),
        }
    }

    fn hold_under(&self, newcomer: &Holding<'_>, rule: &SharingRule) -> Result<(), Lack> {
        let demand = newcomer.demand;
        for (resource, needs) in demand.iter() {
            let offer = self.serving_offer(resource, rule, newcomer.memory)?;
            if needs > offer.total {
                return Err(Lack::TooSmall {
                    resource,
                    total: offer.total,
                    needs,
                });
            }
        }
        for (resource, needs) in demand.iter() {
            let offer = self.offers.get(resource).ok_or(Lack::NoOffer(resource))?;
            let free = self.free(offer);
            if needs > free {
                return Err(Lack::Taken {
                    resource,
                    free,
                    total: offer.total,
                    needs,
                });
            }
        }
        self.check_neighbours(newcomer)
    }

    /// The offer under a resource name, if it is what `rule` means.
    pub fn serving_offer(
        &self,
        resource: GpuResource,
        rule: &SharingRule,
        memory: Option<MiB>,
    ) -> Result<&Offer, Lack> {
        let offer = self.offers.get(resource).ok_or(Lack::NoOffer(resource))?;
        offer.serves(rule, memory).map(|()| offer)
    }
}

fn depth(lack: &Lack) -> u8 {
    match lack {
        Lack::Strategy(..) => 1,
        Lack::Profile(_) | Lack::Product(_) => 2,
        Lack::Memory { .. } => 3,
        Lack::TooSmall { .. } => 4,
        Lack::Taken { .. } => 5,
        Lack::SharesPerGpu { .. } | Lack::OtherTenant | Lack::DeclaredMemory { .. } => 6,
        Lack::UnknownNode | Lack::Paused(_) | Lack::NoOffer(_) | Lack::Doubtful(..) | Lack::Delegated(..) => 0,
    }
}

impl Offer {
    /// Whether the offer is what `rule` means, with at least this much memory a share.
    pub fn serves(&self, rule: &SharingRule, memory: Option<MiB>) -> Result<(), Lack> {
        if self.strategy != rule.strategy {
            return Err(Lack::Strategy(self.resource, self.strategy));
        }
        if let Some(profile) = self.profile
            && !rule.allows_profile(profile)
        {
            return Err(Lack::Profile(profile));
        }
        if !rule.allows_product(self.product.as_ref()) {
            return Err(Lack::Product(self.resource));
        }
        match (memory, self.assured_memory()) {
            (Some(needs), Some(has)) if has < needs => Err(Lack::Memory { has: Some(has), needs }),
            (Some(needs), None) => Err(Lack::Memory { has: None, needs }),
            _ => Ok(()),
        }
    }
}
