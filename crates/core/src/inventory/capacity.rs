//! Whether a node has capacity for a pod: free shares, and the limits of the pod and of the pods
//! that are there.
//!
//! In-tree, kube-scheduler counts extended resources only. The limits of policies are checked here
//! alone.

use super::node::NodeEntry;
use super::node_usage::PodRequestRef;
use super::offer::Offer;
use super::unfit_reason::UnfitReason;
use crate::gpu::Strategy;
use crate::policy::{MemoryLimit, SharingRule};
use apportion_mig::memory::MiB;

impl NodeEntry {
    /// Whether the node can hold the pod now under one of `rules`; one rule applies to all
    /// resources of the pod.
    pub fn check_fit<'r>(
        &self,
        pod_request: &PodRequestRef<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule>,
    ) -> Result<(), UnfitReason> {
        self.offers.check_suitability(pod_request, rules)?;
        self.check_capacity(pod_request)
    }

    /// Whether there is capacity for a pod that the node's offers suit: enough free shares, and no
    /// limit in the way.
    pub fn check_capacity(&self, pod_request: &PodRequestRef<'_>) -> Result<(), UnfitReason> {
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
        self.check_limits(pod_request)
    }

    /// Whether the pod and the pods on the node keep to each other's limits: shares per GPU,
    /// tenants, declared memory.
    pub fn check_limits(&self, pod_request: &PodRequestRef<'_>) -> Result<(), UnfitReason> {
        let shared_offers = || {
            let requested = pod_request.demand.iter();
            requested
                .filter_map(|(resource, needs)| Some((self.offers.get(resource)?, needs)))
                .filter(|(offer, _)| offer.is_shared())
        };
        if shared_offers().next().is_some() && self.has_other_tenants(pod_request) {
            return Err(UnfitReason::OtherTenant);
        }
        for (offer, needs) in shared_offers() {
            if let Some(max) = self.max_shares(offer, pod_request) {
                let taken = self.usage.counts().get(offer.resource);
                if taken.saturating_add(needs) > max {
                    return Err(UnfitReason::SharesPerGpu {
                        taken,
                        max,
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

    /// Free shares of an offer, as far as the shares-per-GPU limits let the pod take them.
    pub fn available_shares(&self, offer: &Offer, pod_request: &PodRequestRef<'_>) -> u64 {
        let free = self.free(offer);
        if !offer.is_shared() {
            return free;
        }
        let taken = self.usage.counts().get(offer.resource);
        self.max_shares(offer, pod_request)
            .map_or(free, |max| free.min(max.saturating_sub(taken)))
    }

    /// Whether a tenant that must not share GPUs with others would meet another tenant. The kubelet
    /// chooses the GPU, so the check covers all shared GPUs of the node.
    fn has_other_tenants(&self, pod_request: &PodRequestRef<'_>) -> bool {
        self.offers
            .offers
            .iter()
            .filter(|offer| offer.is_shared())
            .flat_map(|offer| self.usage.by_key(offer.resource))
            .any(|(usage_key, _)| {
                (pod_request.guarantees.limits.tenants_apart || usage_key.guarantees.limits.tenants_apart)
                    && usage_key.guarantees.tenant != pod_request.guarantees.tenant
            })
    }

    /// How many shares of an offer may be taken in all, by the strictest limit of the pod and the
    /// pods on the node.
    fn max_shares(&self, offer: &Offer, pod_request: &PodRequestRef<'_>) -> Option<u64> {
        let own = pod_request.guarantees.limits.shares_per_gpu;
        let others = self.usage.shares_per_gpu(offer.resource);
        let per_device = own.into_iter().chain(others).min()?;
        Some(offer.devices().saturating_mul(u64::from(per_device.get())))
    }

    fn check_memory(&self, offer: &Offer, needs: u64, pod_request: &PodRequestRef<'_>) -> Result<(), UnfitReason> {
        let limit = pod_request
            .guarantees
            .limits
            .memory
            .max(self.usage.memory_limit(offer.resource));
        let own = pod_request.memory_per_share();
        let (declared, has) = match (limit, offer.assured_memory()) {
            (MemoryLimit::Unchecked, _) => return Ok(()),
            (MemoryLimit::Total, Some(MiB(memory))) => {
                let others = self.usage.memory(offer.resource).0;
                let all = MiB(others.saturating_add(own.0.saturating_mul(needs)));
                (all, MiB(memory.saturating_mul(offer.devices())))
            }
            (MemoryLimit::PerGpu, Some(memory)) => (
                self.usage.largest_shares(offer.resource, offer.replicas, (own, needs)),
                memory,
            ),
            (_, None) if own == MiB(0) => return Ok(()),
            (_, None) => return Err(UnfitReason::Memory { has: None, needs: own }),
        };
        if declared <= has {
            return Ok(());
        }
        Err(UnfitReason::DeclaredMemory { limit, declared, has })
    }
}
