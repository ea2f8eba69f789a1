//! What pods hold on one node, summed up so that a question costs the kinds of pods there, not their number.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::gpu::{Counts, GpuResource};
use crate::policy::Guarantees;
use crate::policy::MemoryLimit;
use apportion_mig::memory::MiB;

/// What the pods on a node hold, all together.
///
/// The same pods give the same holdings, in whatever order they came and whoever came and went in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUsage {
    counts: Counts,
    /// In order, so that equal holdings are equal; on a real node there are a few.
    by_key: Vec<(UsageKey, UsageTotal)>,
}

/// What pods of one kind hold of one resource: they agree in everything that their neighbours are held against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    /// The resource.
    pub resource: GpuResource,
    /// Memory that each of its shares counts with; zero where the pod declares none and its policy assumes none.
    pub memory: MiB,
    /// On what terms.
    pub terms: Arc<Guarantees>,
}

/// How many hold a stake, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageTotal {
    /// Pods.
    pub pods: u64,
    /// Shares that they hold together.
    pub shares: u64,
}

/// What one pod holds, or would.
#[derive(Clone, Copy, Debug)]
pub struct PodRequestRef<'h> {
    /// Its effective request.
    pub demand: &'h Counts,
    /// Memory that it declares for each share.
    pub memory: Option<MiB>,
    /// On what terms.
    pub terms: &'h Arc<Guarantees>,
}

/// What a pod would hold, kept for a while.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRequest {
    /// What a node must give.
    pub demand: Counts,
    /// Memory that each share must have.
    pub memory: Option<MiB>,
    /// What the pod is promised.
    pub terms: Arc<Guarantees>,
}

impl PodRequest {
    /// The same, borrowed.
    pub fn request(&self) -> PodRequestRef<'_> {
        PodRequestRef {
            demand: &self.demand,
            memory: self.memory,
            terms: &self.terms,
        }
    }
}

impl PodRequestRef<'_> {
    /// Memory that each share counts with.
    pub fn memory_of_a_share(&self) -> MiB {
        self.memory.unwrap_or(self.terms.limits.undeclared_memory)
    }

    fn by_key(&self) -> impl Iterator<Item = (UsageKey, u64)> {
        self.demand.iter().map(|(resource, count)| {
            let usage_key = UsageKey {
                resource,
                memory: self.memory_of_a_share(),
                terms: Arc::clone(self.terms),
            };
            (usage_key, count)
        })
    }
}

impl NodeUsage {
    /// How many of each resource are held.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Who holds shares of a resource.
    pub fn by_key(&self, resource: GpuResource) -> impl Iterator<Item = (&UsageKey, UsageTotal)> {
        self.by_key
            .iter()
            .filter(move |(usage_key, _)| usage_key.resource == resource)
            .map(|(usage_key, tally)| (usage_key, *tally))
    }

    /// The number of different tenants that hold shares of a resource.
    pub fn tenants(&self, resource: GpuResource) -> usize {
        let mut tenants: Vec<_> = self
            .by_key(resource)
            .map(|(usage_key, _)| &usage_key.terms.tenant)
            .collect();
        tenants.sort_unstable();
        tenants.dedup();
        tenants.len()
    }

    /// A pod comes.
    pub fn add(&mut self, request: &PodRequestRef<'_>) {
        for (usage_key, count) in request.by_key() {
            self.counts.add(usage_key.resource, count);
            let tally = self.tally(usage_key);
            tally.pods += 1;
            tally.shares = tally.shares.saturating_add(count);
        }
    }

    /// A pod that came goes.
    pub fn subtract(&mut self, request: &PodRequestRef<'_>) {
        for (usage_key, count) in request.by_key() {
            self.counts.subtract(usage_key.resource, count);
            if let Ok(at) = self.by_key.binary_search_by(|(known, _)| known.cmp(&usage_key)) {
                let tally = &mut self.by_key[at].1;
                tally.pods -= 1;
                tally.shares = tally.shares.saturating_sub(count);
                if tally.pods == 0 {
                    self.by_key.remove(at);
                }
            }
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &NodeUsage) {
        for (resource, count) in other.counts.iter() {
            self.counts.add(resource, count);
        }
        for (usage_key, more) in &other.by_key {
            let tally = self.tally(usage_key.clone());
            tally.pods += more.pods;
            tally.shares = tally.shares.saturating_add(more.shares);
        }
    }

    fn tally(&mut self, usage_key: UsageKey) -> &mut UsageTotal {
        let at = match self.by_key.binary_search_by(|(known, _)| known.cmp(&usage_key)) {
            Ok(at) => at,
            Err(at) => {
                self.by_key.insert(at, (usage_key, UsageTotal::default()));
                at
            }
        };
        &mut self.by_key[at].1
    }

    /// The strictest number of shares for each GPU that anybody there is promised.
    pub fn shares_per_gpu(&self, resource: GpuResource) -> Option<NonZeroU32> {
        self.by_key(resource)
            .filter_map(|(usage_key, _)| usage_key.terms.limits.shares_per_gpu)
            .min()
    }

    /// The strictest that anybody there holds declared memory to.
    pub fn memory_limit(&self, resource: GpuResource) -> MemoryLimit {
        let limits = self
            .by_key(resource)
            .map(|(usage_key, _)| usage_key.terms.limits.memory);
        limits.max().unwrap_or_default()
    }

    /// The sum of the memory that the shares of a resource count with.
    pub fn memory(&self, resource: GpuResource) -> MiB {
        let sum = self.by_key(resource).fold(0u64, |sum, (usage_key, tally)| {
            sum.saturating_add(usage_key.memory.0.saturating_mul(tally.shares))
        });
        MiB(sum)
    }

    /// The memory of the `most` largest shares of a resource, with `count` more of `memory` among them.
    pub fn largest(&self, resource: GpuResource, most: u64, (memory, count): (MiB, u64)) -> MiB {
        let mut shares: Vec<(MiB, u64)> = self
            .by_key(resource)
            .map(|(usage_key, tally)| (usage_key.memory, tally.shares))
            .chain([(memory, count)])
            .collect();
        shares.sort_unstable_by(|a, b| b.cmp(a));
        let (mut left, mut sum) = (most, 0u64);
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

    fn terms(tenant: &str, most: Option<u32>) -> Arc<Guarantees> {
        Arc::new(Guarantees {
            limits: Limits {
                shares_per_gpu: most.and_then(NonZeroU32::new),
                ..Limits::default()
            },
            ..Guarantees::none(tenant)
        })
    }

    #[test]
    fn what_came_and_went_leaves_nothing() {
        let one = Counts::one(GpuResource::GpuShared, 1);
        let two = Counts::one(GpuResource::GpuShared, 2);
        let (a, b) = (terms("a", Some(2)), terms("b", None));
        let mut node_usage = NodeUsage::default();
        let pods = [(&one, Some(MiB(100)), &a), (&two, None, &b), (&one, Some(MiB(100)), &a)];
        let request = |(demand, memory, terms)| PodRequestRef { demand, memory, terms };
        for pod in pods {
            node_usage.add(&request(pod));
        }
        let shared = GpuResource::GpuShared;
        assert_eq!(node_usage.counts().get(shared), 4);
        assert_eq!(node_usage.tenants(shared), 2);
        assert_eq!(node_usage.shares_per_gpu(shared), NonZeroU32::new(2));
        assert_eq!(node_usage.memory(shared), MiB(200));
        assert_eq!(node_usage.largest(shared, 2, (MiB(150), 1)), MiB(250));
        assert_eq!(node_usage.largest(shared, 9, (MiB(150), 1)), MiB(350));
        let mut other_way = NodeUsage::default();
        for pod in pods.into_iter().rev() {
            other_way.add(&request(pod));
        }
        assert_eq!(node_usage, other_way);
        for pod in pods {
            node_usage.subtract(&request(pod));
        }
        assert_eq!(node_usage, NodeUsage::default());
    }
}
