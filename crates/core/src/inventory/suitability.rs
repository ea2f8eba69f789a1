//! Whether what a node gives is what a pod may have, whoever is there.
//!
//! The answer follows from the node's offers alone, and a cluster has few kinds of nodes: who asks about many nodes finds it out once for
//! each kind. What is left to see on the node itself is [`NodeEntry::has_room`](super::NodeEntry::has_room).

use super::node_usage::PodRequestRef;
use super::offer::{NodeOffers, Offer};
use super::unfit_reason::UnfitReason;
use crate::gpu::GpuResource;
use crate::policy::SharingRule;
use apportion_mig::memory::MiB;

impl NodeOffers {
    /// Whether one of `rules`, the same for every resource of it, allows the newcomer what is offered here, and there is enough in all.
    pub fn suit<'r>(
        &self,
        pod_request: &PodRequestRef<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule>,
    ) -> Result<(), UnfitReason> {
        if let Some(pause) = &self.paused {
            return Err(UnfitReason::Paused(pause.clone()));
        }
        for (resource, _) in pod_request.demand.iter() {
            if self.get(resource).is_none() {
                let problem = self.problem(resource);
                return Err(problem.map_or(UnfitReason::NoOffer(resource), |p| {
                    UnfitReason::Doubtful(resource, p.short)
                }));
            }
        }
        // The lack that came furthest tells most: a rule of another strategy says little.
        let mut furthest: Option<(u8, UnfitReason)> = None;
        for rule in rules {
            match self.suit_rule(pod_request, rule) {
                Ok(()) => return Ok(()),
                Err(unfit_reason) => {
                    let depth = depth(&unfit_reason);
                    if furthest.as_ref().is_none_or(|(d, _)| depth > *d) {
                        furthest = Some((depth, unfit_reason));
                    }
                }
            }
        }
        match (furthest, pod_request.demand.iter().next()) {
            (Some((_, unfit_reason)), _) => Err(unfit_reason),
            (None, Some((resource, _))) => Err(UnfitReason::NoOffer(resource)),
            (None, None) => Ok(()),
        }
    }

    fn suit_rule(&self, pod_request: &PodRequestRef<'_>, rule: &SharingRule) -> Result<(), UnfitReason> {
        for (resource, needs) in pod_request.demand.iter() {
            let offer = self.serving(resource, rule, pod_request.memory)?;
            if needs > offer.total {
                return Err(UnfitReason::TooSmall {
                    resource,
                    total: offer.total,
                    needs,
                });
            }
        }
        Ok(())
    }

    /// The offer under a resource name, if it is what `rule` means.
    pub fn serving(
        &self,
        resource: GpuResource,
        rule: &SharingRule,
        memory: Option<MiB>,
    ) -> Result<&Offer, UnfitReason> {
        let offer = self.get(resource).ok_or(UnfitReason::NoOffer(resource))?;
        offer.serves(rule, memory).map(|()| offer)
    }
}

fn depth(unfit_reason: &UnfitReason) -> u8 {
    match unfit_reason {
        UnfitReason::Strategy(..) => 1,
        UnfitReason::Profile(_) | UnfitReason::Product(_) => 2,
        UnfitReason::Memory { .. } => 3,
        UnfitReason::TooSmall { .. } => 4,
        // These are not for a rule to say.
        UnfitReason::UnknownNode
        | UnfitReason::Paused(_)
        | UnfitReason::NoOffer(_)
        | UnfitReason::Doubtful(..)
        | UnfitReason::Delegated(..)
        | UnfitReason::Taken { .. }
        | UnfitReason::SharesPerGpu { .. }
        | UnfitReason::OtherTenant
        | UnfitReason::DeclaredMemory { .. } => 0,
    }
}

impl Offer {
    /// Whether the offer is what `rule` means, with at least this much memory a share.
    pub fn serves(&self, rule: &SharingRule, memory: Option<MiB>) -> Result<(), UnfitReason> {
        if self.strategy != rule.strategy {
            return Err(UnfitReason::Strategy(self.resource, self.strategy));
        }
        if let Some(profile) = self.profile
            && !rule.allows_profile(profile)
        {
            return Err(UnfitReason::Profile(profile));
        }
        if !rule.allows_product(self.product.as_ref()) {
            return Err(UnfitReason::Product(self.resource));
        }
        match (memory, self.assured_memory()) {
            (Some(needs), Some(has)) if has < needs => Err(UnfitReason::Memory { has: Some(has), needs }),
            (Some(needs), None) => Err(UnfitReason::Memory { has: None, needs }),
            _ => Ok(()),
        }
    }
}
