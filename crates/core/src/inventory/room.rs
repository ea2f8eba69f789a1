//! Whether a pod and its neighbours can stand each other on a node, by what each was promised.
//!
//! Kubernetes counts extended resources, so free shares are [`NodeEntry::free`]; here is what it does not count.

use super::node::NodeEntry;
use super::node_usage::PodRequestRef;
use super::offer::Offer;
use super::unfit_reason::UnfitReason;
use crate::gpu::Strategy;
use crate::policy::MemoryLimit;
use apportion_mig::memory::MiB;

impl Offer {
    /// Whether its shares are of GPUs, or of MIG devices, that other pods hold shares of too.
    pub fn is_shared(&self) -> bool {
        matches!(self.strategy, Strategy::Mps | Strategy::TimeSlicing)
    }

    /// The physical GPUs, or MIG devices, behind it.
    pub fn devices(&self) -> u64 {
        (self.total / self.replicas.max(1)).max(1)
    }
}

impl NodeEntry {
    /// Whether a newcomer and those who are there can stand each other: shares of a GPU, tenants, declared memory.
    pub fn check_neighbours(&self, pod_request: &PodRequestRef<'_>) -> Result<(), UnfitReason> {
        let demanded = || pod_request.demand.iter();
        let shared = || demanded().filter_map(|(resource, needs)| Some((self.offers.get(resource)?, needs)));
        if shared().any(|(offer, _)| offer.is_shared()) && self.has_strangers(pod_request) {
            return Err(UnfitReason::OtherTenant);
        }
        for (offer, needs) in shared().filter(|(offer, _)| offer.is_shared()) {
            if let Some(most) = self.most_shares(offer, pod_request) {
                let taken = self.held.counts().get(offer.resource);
                if taken.saturating_add(needs) > most {
                    return Err(UnfitReason::SharesPerGpu {
                        taken,
                        most,
                        devices: offer.devices(),
                        needs,
                    });
                }
            }
            if offer.strategy == Strategy::TimeSlicing {
                self.check_memory(offer, needs, pod_request)?;
            }
        }
        Ok(())
    }

    /// Shares of an offer that a newcomer could take, were they free in every other respect.
    pub fn shares_left(&self, offer: &Offer, pod_request: &PodRequestRef<'_>) -> u64 {
        let free = self.free(offer);
        if !offer.is_shared() {
            return free;
        }
        let taken = self.held.counts().get(offer.resource);
        self.most_shares(offer, pod_request)
            .map_or(free, |most| free.min(most.saturating_sub(taken)))
    }

    /// Whether a tenant that must be alone on shared GPUs would meet another. The kubelet chooses the GPU, so a node is all or nothing.
    pub fn has_strangers(&self, pod_request: &PodRequestRef<'_>) -> bool {
        self.offers
            .offers
            .iter()
            .filter(|offer| offer.is_shared())
            .flat_map(|offer| self.held.by_key(offer.resource))
            .any(|(usage_key, _)| {
                (pod_request.terms.limits.apart || usage_key.terms.limits.apart)
                    && usage_key.terms.tenant != pod_request.terms.tenant
            })
    }

    /// The strictest number of shares of an offer that the newcomer or a neighbour is promised, over all its GPUs.
    fn most_shares(&self, offer: &Offer, pod_request: &PodRequestRef<'_>) -> Option<u64> {
        let own = pod_request.terms.limits.shares_per_gpu;
        let theirs = self.held.shares_per_gpu(offer.resource);
        let most = own.into_iter().chain(theirs).min()?;
        Some(offer.devices().saturating_mul(u64::from(most.get())))
    }

    fn check_memory(&self, offer: &Offer, needs: u64, pod_request: &PodRequestRef<'_>) -> Result<(), UnfitReason> {
        let limit = pod_request
            .terms
            .limits
            .memory
            .max(self.held.memory_limit(offer.resource));
        let own = pod_request.memory_of_a_share();
        let (what, has) = match (limit, offer.assured_memory()) {
            (MemoryLimit::Unchecked, _) => return Ok(()),
            (MemoryLimit::Total, Some(MiB(memory))) => {
                let held = self.held.memory(offer.resource).0;
                let all = MiB(held.saturating_add(own.0.saturating_mul(needs)));
                (all, MiB(memory.saturating_mul(offer.devices())))
            }
            (MemoryLimit::PerGpu, Some(memory)) => {
                (self.held.largest(offer.resource, offer.replicas, (own, needs)), memory)
            }
            (_, None) if own == MiB(0) => return Ok(()),
            (_, None) => return Err(UnfitReason::Memory { has: None, needs: own }),
        };
        if what <= has {
            return Ok(());
        }
        Err(UnfitReason::DeclaredMemory { limit, what, has })
    }
}
