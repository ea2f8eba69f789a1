//! Whether the offers of a node suit a pod, whatever other pods hold.
//!
//! The answer depends on the offers alone, and a cluster has few distinct sets of offers. The
//! extender therefore computes it once for each set.
//! [`NodeEntry::check_capacity`](super::NodeEntry::check_capacity) covers the rest, which differs
//! from node to node.

use super::node_usage::PodRequestRef;
use super::offer::{NodeOffers, Offer};
use super::unfit_reason::UnfitReason;
use crate::gpu::GpuResource;
use crate::policy::SharingRule;
use apportion_mig::memory::MiB;

impl NodeOffers {
    /// Whether one of `rules` allows all resources of the pod here, in sufficient number.
    pub fn check_suitability<'r>(
        &self,
        pod_request: &PodRequestRef<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule>,
    ) -> Result<(), UnfitReason> {
        if let Some(state) = &self.reconfiguration {
            return Err(UnfitReason::Reconfiguring(state.clone()));
        }
        for (resource, _) in pod_request.demand.iter() {
            if self.get(resource).is_none() {
                let problem = self.problem(resource);
                return Err(problem.map_or(UnfitReason::NoOffer(resource), |problem| {
                    UnfitReason::Unusable(resource, problem.short)
                }));
            }
        }
        // The reason of the rule that came closest says most: that of a rule with another strategy
        // says little.
        let mut closest: Option<(u8, UnfitReason)> = None;
        for rule in rules {
            match self.check_all_resources(pod_request, rule) {
                Ok(()) => return Ok(()),
                Err(unfit_reason) => {
                    let stage = check_stage(&unfit_reason);
                    if closest.as_ref().is_none_or(|(best, _)| stage > *best) {
                        closest = Some((stage, unfit_reason));
                    }
                }
            }
        }
        match (closest, pod_request.demand.iter().next()) {
            (Some((_, unfit_reason)), _) => Err(unfit_reason),
            (None, Some((resource, _))) => Err(UnfitReason::NoOffer(resource)),
            (None, None) => Ok(()),
        }
    }

    fn check_all_resources(&self, pod_request: &PodRequestRef<'_>, rule: &SharingRule) -> Result<(), UnfitReason> {
        for (resource, needs) in pod_request.demand.iter() {
            let offer = self.allowed_offer(resource, rule, pod_request.memory)?;
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

    /// The offer under a resource name, if `rule` allows it and its shares have `memory`.
    pub fn allowed_offer(
        &self,
        resource: GpuResource,
        rule: &SharingRule,
        memory: Option<MiB>,
    ) -> Result<&Offer, UnfitReason> {
        let offer = self.get(resource).ok_or(UnfitReason::NoOffer(resource))?;
        offer.serves(rule, memory).map(|()| offer)
    }
}

/// How far a rule got in the checks before it failed: the higher, the closer.
fn check_stage(unfit_reason: &UnfitReason) -> u8 {
    match unfit_reason {
        UnfitReason::Strategy(..) => 1,
        UnfitReason::Profile(_) | UnfitReason::Product(_) => 2,
        UnfitReason::Memory { .. } => 3,
        UnfitReason::TooSmall { .. } => 4,
        // These do not depend on a rule.
        UnfitReason::UnknownNode
        | UnfitReason::Reconfiguring(_)
        | UnfitReason::NoOffer(_)
        | UnfitReason::Unusable(..)
        | UnfitReason::ServedByDra(..)
        | UnfitReason::Taken { .. }
        | UnfitReason::SharesPerGpu { .. }
        | UnfitReason::OtherTenant
        | UnfitReason::DeclaredMemory { .. } => 0,
    }
}

impl Offer {
    /// Whether `rule` allows the offer, and its shares have at least `memory`.
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
