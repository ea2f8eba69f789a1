//! Shares promised a moment ago to pods that are not in the inventory yet.
//!
//! Between the answer of the webhook and the pod's arrival by the watch a burst would see the same last free slice again and
//! again. Claims bridge that gap, and end when the pod is there; they are a hint for the choice of a resource name, never the
//! authority on what is free.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::offer::OfferClass;
use crate::gpu::{Counts, Strategy};

/// How long a claim counts whose pod never comes: it was refused after us, by a quota for example.
pub const CLAIM_LIFETIME: Duration = Duration::from_secs(30);

/// What one pod was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The pod's namespace. Its name is not made yet.
    pub namespace: Box<str>,
    /// How.
    pub strategy: Strategy,
    /// What.
    pub demand: Counts,
}

/// All claims that still count.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    by_age: VecDeque<(Duration, Claim)>,
    sums: HashMap<OfferClass, u64>,
}

impl Claims {
    /// Adds a claim. `now` is the time since a fixed start, and never goes back.
    pub fn add(&mut self, now: Duration, claim: Claim) {
        self.expire(now);
        for (resource, count) in claim.demand.iter() {
            let sum = self
                .sums
                .entry(OfferClass {
                    strategy: claim.strategy,
                    resource,
                })
                .or_default();
            *sum = sum.saturating_add(count);
        }
        self.by_age.push_back((now, claim));
    }

    /// Forgets what is older than [`CLAIM_LIFETIME`].
    pub fn expire(&mut self, now: Duration) {
        while let Some((since, _)) = self.by_age.front()
            && now.saturating_sub(*since) >= CLAIM_LIFETIME
            && let Some((_, claim)) = self.by_age.pop_front()
        {
            self.forget(&claim);
        }
    }

    /// A pod with this demand has come by the watch: it is counted there now, so the oldest claim that it can have made ends. To
    /// count both would make shares look taken that are free, and send pods to wait for others.
    pub fn settle(&mut self, namespace: &str, demand: &Counts) {
        let made = |claim: &Claim| *claim.namespace == *namespace && claim.demand == *demand;
        if let Some(at) = self.by_age.iter().position(|(_, claim)| made(claim))
            && let Some((_, claim)) = self.by_age.remove(at)
        {
            self.forget(&claim);
        }
    }

    fn forget(&mut self, claim: &Claim) {
        for (resource, count) in claim.demand.iter() {
            let class = OfferClass {
                strategy: claim.strategy,
                resource,
            };
            if let Some(sum) = self.sums.get_mut(&class) {
                *sum = sum.saturating_sub(count);
                if *sum == 0 {
                    self.sums.remove(&class);
                }
            }
        }
    }

    /// Shares of a class that are promised.
    pub fn of(&self, class: OfferClass) -> u64 {
        self.sums.get(&class).copied().unwrap_or(0)
    }

    /// Whether nothing is promised.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuResource;

    #[test]
    fn claims_add_up_and_expire() {
        let class = OfferClass {
            strategy: Strategy::Mps,
            resource: GpuResource::GpuShared,
        };
        let claim = || Claim {
            namespace: "n".into(),
            strategy: Strategy::Mps,
            demand: Counts::one(GpuResource::GpuShared, 2),
        };
        let mut claims = Claims::default();
        claims.add(Duration::ZERO, claim());
        claims.add(Duration::from_secs(20), claim());
        assert_eq!(claims.of(class), 4);
        claims.expire(Duration::from_secs(29));
        assert_eq!(claims.of(class), 4);
        claims.expire(Duration::from_secs(30));
        assert_eq!(claims.of(class), 2);
        claims.expire(Duration::from_secs(50));
        assert!(claims.is_empty());
    }

    #[test]
    fn a_pod_that_has_come_ends_one_claim_of_its_own() {
        let class = OfferClass {
            strategy: Strategy::TimeSlicing,
            resource: GpuResource::GpuShared,
        };
        let demand = Counts::one(GpuResource::GpuShared, 1);
        let mut claims = Claims::default();
        for namespace in ["n", "n", "other"] {
            let claim = Claim {
                namespace: namespace.into(),
                strategy: class.strategy,
                demand: demand.clone(),
            };
            claims.add(Duration::ZERO, claim);
        }
        for (namespace, demand, left) in [
            ("n", &demand, 2),
            ("n", &Counts::one(GpuResource::GpuShared, 2), 2),
            ("n", &demand, 1),
            ("n", &demand, 1),
            ("other", &demand, 0),
        ] {
            claims.settle(namespace, demand);
            assert_eq!(claims.of(class), left, "{namespace} {demand:?}");
        }
        assert!(claims.is_empty());
    }
}
