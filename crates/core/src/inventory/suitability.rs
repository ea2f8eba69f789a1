//! Whether what a node gives is what a pod may have, whoever is there.
//!
//! The answer follows from the node's offers alone, and a cluster has few kinds of nodes: who asks about many nodes finds it out once for
//! each kind. What is left to see on the node itself is [`NodeEntry::has_room`](super::NodeEntry::has_room).

use super::holdings::Holding;
use super::lack::Lack;
use super::offer::{NodeOffers, Offer};
use crate::gpu::GpuResource;
use crate::policy::SharingRule;
use apportion_mig::memory::MiB;

impl NodeOffers {
    /// Whether one of `rules`, the same for every resource of it, allows the newcomer what is offered here, and there is enough in all.
    pub fn suit<'r>(
        &self,
        newcomer: &Holding<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule>,
    ) -> Result<(), Lack> {
        if let Some(pause) = &self.paused {
            return Err(Lack::Paused(pause.clone()));
        }
        for (resource, _) in newcomer.demand.iter() {
            if self.get(resource).is_none() {
                let problem = self.problem(resource);
                return Err(problem.map_or(Lack::NoOffer(resource), |p| Lack::Doubtful(resource, p.short)));
            }
        }
        // The lack that came furthest tells most: a rule of another strategy says little.
        let mut furthest: Option<(u8, Lack)> = None;
        for rule in rules {
            match self.suit_rule(newcomer, rule) {
                Ok(()) => return Ok(()),
                Err(lack) => {
                    let depth = depth(&lack);
                    if furthest.as_ref().is_none_or(|(d, _)| depth > *d) {
                        furthest = Some((depth, lack));
                    }
                }
            }
        }
        match (furthest, newcomer.demand.iter().next()) {
            (Some((_, lack)), _) => Err(lack),
            (None, Some((resource, _))) => Err(Lack::NoOffer(resource)),
            (None, None) => Ok(()),
        }
    }

    fn suit_rule(&self, newcomer: &Holding<'_>, rule: &SharingRule) -> Result<(), Lack> {
        for (resource, needs) in newcomer.demand.iter() {
            let offer = self.serving(resource, rule, newcomer.memory)?;
            if needs > offer.total {
                return Err(Lack::TooSmall {
                    resource,
                    total: offer.total,
                    needs,
                });
            }
        }
        Ok(())
    }

    /// The offer under a resource name, if it is what `rule` means.
    pub fn serving(&self, resource: GpuResource, rule: &SharingRule, memory: Option<MiB>) -> Result<&Offer, Lack> {
        let offer = self.get(resource).ok_or(Lack::NoOffer(resource))?;
        offer.serves(rule, memory).map(|()| offer)
    }
}

fn depth(lack: &Lack) -> u8 {
    match lack {
        Lack::Strategy(..) => 1,
        Lack::Profile(_) | Lack::Product(_) => 2,
        Lack::Memory { .. } => 3,
        Lack::TooSmall { .. } => 4,
        // These are not for a rule to say.
        Lack::UnknownNode
        | Lack::Paused(_)
        | Lack::NoOffer(_)
        | Lack::Doubtful(..)
        | Lack::Delegated(..)
        | Lack::Taken { .. }
        | Lack::SharesPerGpu { .. }
        | Lack::OtherTenant
        | Lack::DeclaredMemory { .. } => 0,
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
