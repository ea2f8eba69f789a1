//! What pods hold on one node, aggregated, so that a check costs the kinds of pods on the node, not
//! their number.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::gpu::{Counts, GpuResource};
use crate::policy::{Guarantees, MemoryLimit};
use apportion_mig::memory::MiB;

/// What the pods on a node hold together.
///
/// The same pods give an equal value, whatever the order of events that led to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUsage {
    counts: Counts,
    /// Sorted, so that equal usage compares equal. A real node has a few entries.
    by_key: Vec<(UsageKey, UsageTotal)>,
}

/// Pods with the same key are interchangeable for the checks of a node: each share of the resource
/// counts alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    pub resource: GpuResource,
    /// Memory that each share counts with; zero if the pod declares none and its policy sets no
    /// default.
    pub memory: MiB,
    pub guarantees: Arc<Guarantees>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageTotal {
    pub pods: u64,
    /// Shares that these pods hold together.
    pub shares: u64,
}

/// What one pod holds, or would hold.
#[derive(Clone, Copy, Debug)]
pub struct PodRequestRef<'h> {
    /// The pod's effective request.
    pub demand: &'h Counts,
    /// Memory that the pod declares for each share.
    pub memory: Option<MiB>,
    pub guarantees: &'h Arc<Guarantees>,
}

/// An owned [`PodRequestRef`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRequest {
    /// The pod's effective request.
    pub demand: Counts,
    /// Memory that the pod declares for each share.
    pub memory: Option<MiB>,
    pub guarantees: Arc<Guarantees>,
}

impl PodRequest {
    pub fn request(&self) -> PodRequestRef<'_> {
        PodRequestRef {
            demand: &self.demand,
            memory: self.memory,
            guarantees: &self.guarantees,
        }
    }
}

impl PodRequestRef<'_> {
    /// Memory that each share counts with: the declared memory, else the policy's default.
    pub fn memory_per_share(&self) -> MiB {
        self.memory.unwrap_or(self.guarantees.limits.undeclared_memory)
    }

    fn by_key(&self) -> impl Iterator<Item = (UsageKey, u64)> {
        self.demand.iter().map(|(resource, count)| {
            let usage_key = UsageKey {
                resource,
                memory: self.memory_per_share(),
                guarantees: Arc::clone(self.guarantees),
            };
            (usage_key, count)
        })
    }
}

impl NodeUsage {
    /// How many shares of each resource are held.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The kinds of pods that hold shares of a resource.
    pub fn by_key(&self, resource: GpuResource) -> impl Iterator<Item = (&UsageKey, UsageTotal)> {
        self.by_key
            .iter()
            .filter(move |(usage_key, _)| usage_key.resource == resource)
            .map(|(usage_key, total)| (usage_key, *total))
    }

    /// The number of distinct tenants that hold shares of a resource.
    pub fn tenants(&self, resource: GpuResource) -> usize {
        let mut tenants: Vec<_> = self
            .by_key(resource)
            .map(|(usage_key, _)| &usage_key.guarantees.tenant)
            .collect();
        tenants.sort_unstable();
        tenants.dedup();
        tenants.len()
    }

    /// Counts one more pod.
    pub fn add(&mut self, request: &PodRequestRef<'_>) {
        for (usage_key, count) in request.by_key() {
            self.counts.add(usage_key.resource, count);
            let total = self.total_mut(usage_key);
            total.pods += 1;
            total.shares = total.shares.saturating_add(count);
        }
    }

    /// Removes a pod that was added.
    pub fn subtract(&mut self, request: &PodRequestRef<'_>) {
        for (usage_key, count) in request.by_key() {
            self.counts.subtract(usage_key.resource, count);
            if let Ok(at) = self.by_key.binary_search_by(|(known, _)| known.cmp(&usage_key)) {
                let total = &mut self.by_key[at].1;
                total.pods -= 1;
                total.shares = total.shares.saturating_sub(count);
                if total.pods == 0 {
                    self.by_key.remove(at);
                }
            }
        }
    }

    /// Adds everything that `other` counts.
    pub fn merge(&mut self, other: &NodeUsage) {
        for (resource, count) in other.counts.iter() {
            self.counts.add(resource, count);
        }
        for (usage_key, added) in &other.by_key {
            let total = self.total_mut(usage_key.clone());
            total.pods += added.pods;
            total.shares = total.shares.saturating_add(added.shares);
        }
    }

    fn total_mut(&mut self, usage_key: UsageKey) -> &mut UsageTotal {
        let at = match self.by_key.binary_search_by(|(known, _)| known.cmp(&usage_key)) {
            Ok(at) => at,
            Err(at) => {
                self.by_key.insert(at, (usage_key, UsageTotal::default()));
                at
            }
        };
        &mut self.by_key[at].1
    }

    /// The lowest shares-per-GPU limit among the pods that hold a resource.
    pub fn shares_per_gpu(&self, resource: GpuResource) -> Option<NonZeroU32> {
        self.by_key(resource)
            .filter_map(|(usage_key, _)| usage_key.guarantees.limits.shares_per_gpu)
            .min()
    }

    /// The strictest memory limit among the pods that hold a resource.
    pub fn memory_limit(&self, resource: GpuResource) -> MemoryLimit {
        let limits = self
            .by_key(resource)
            .map(|(usage_key, _)| usage_key.guarantees.limits.memory);
        limits.max().unwrap_or_default()
    }

    /// The sum of the memory that the shares of a resource count with.
    pub fn memory(&self, resource: GpuResource) -> MiB {
        let sum = self.by_key(resource).fold(0u64, |sum, (usage_key, total)| {
            sum.saturating_add(usage_key.memory.0.saturating_mul(total.shares))
        });
        MiB(sum)
    }

    /// The memory of the `limit` largest shares of a resource, with `count` further shares of
    /// `memory` among them.
    pub fn largest_shares(&self, resource: GpuResource, limit: u64, (memory, count): (MiB, u64)) -> MiB {
        let mut shares: Vec<(MiB, u64)> = self
            .by_key(resource)
            .map(|(usage_key, total)| (usage_key.memory, total.shares))
            .chain([(memory, count)])
            .collect();
        shares.sort_unstable_by(|a, b| b.cmp(a));
        let (mut left, mut sum) = (limit, 0u64);
        for (memory, count) in shares {
            let taken = count.min(left);
            left -= taken;
            sum = sum.saturating_add(memory.0.saturating_mul(taken));
        }
        MiB(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Limits;

    fn guarantees(tenant: &str, shares_per_gpu: Option<u32>) -> Arc<Guarantees> {
        Arc::new(Guarantees {
            limits: Limits {
                shares_per_gpu: shares_per_gpu.and_then(NonZeroU32::new),
                ..Limits::default()
            },
            ..Guarantees::without_limits(tenant)
        })
    }

    #[test]
    fn usage_depends_on_the_pods_and_not_on_their_order() {
        let one = Counts::one(GpuResource::GpuShared, 1);
        let two = Counts::one(GpuResource::GpuShared, 2);
        let (a, b) = (guarantees("a", Some(2)), guarantees("b", None));
        let mut node_usage = NodeUsage::default();
        let pods = [(&one, Some(MiB(100)), &a), (&two, None, &b), (&one, Some(MiB(100)), &a)];
        let request = |(demand, memory, guarantees)| PodRequestRef {
            demand,
            memory,
            guarantees,
        };
        for pod in pods {
            node_usage.add(&request(pod));
        }
        let shared = GpuResource::GpuShared;
        assert_eq!(node_usage.counts().get(shared), 4);
        assert_eq!(node_usage.tenants(shared), 2);
        assert_eq!(node_usage.shares_per_gpu(shared), NonZeroU32::new(2));
        assert_eq!(node_usage.memory(shared), MiB(200));
        assert_eq!(node_usage.largest_shares(shared, 2, (MiB(150), 1)), MiB(250));
        assert_eq!(node_usage.largest_shares(shared, 9, (MiB(150), 1)), MiB(350));
        let mut reversed = NodeUsage::default();
        for pod in pods.into_iter().rev() {
            reversed.add(&request(pod));
        }
        assert_eq!(node_usage, reversed);
        for pod in pods {
            node_usage.subtract(&request(pod));
        }
        assert_eq!(node_usage, NodeUsage::default());
    }
}
