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
pub struct PendingAdmission {
    /// The pod's namespace. Its name is not made yet.
    pub namespace: Box<str>,
    /// How.
    pub strategy: Strategy,
    /// What.
    pub demand: Counts,
}

/// All claims that still count.
#[derive(Clone, Debug, Default)]
pub struct PendingAdmissions {
    by_age: VecDeque<(Duration, PendingAdmission)>,
    sums: HashMap<OfferClass, u64>,
}

impl PendingAdmissions {
    /// Adds a claim. `now` is the time since a fixed start, and never goes back.
    pub fn add(&mut self, now: Duration, pending_admission: PendingAdmission) {
        self.expire(now);
        for (resource, count) in pending_admission.demand.iter() {
            let sum = self
                .sums
                .entry(OfferClass {
                    strategy: pending_admission.strategy,
                    resource,
                })
                .or_default();
            *sum = sum.saturating_add(count);
        }
        self.by_age.push_back((now, pending_admission));
    }

    /// Forgets what is older than [`CLAIM_LIFETIME`].
    pub fn expire(&mut self, now: Duration) {
        while let Some((since, _)) = self.by_age.front()
            && now.saturating_sub(*since) >= CLAIM_LIFETIME
            && let Some((_, pending_admission)) = self.by_age.pop_front()
        {
            self.forget(&pending_admission);
        }
    }

    /// A pod with this demand has come by the watch: it is counted there now, so the oldest claim that it can have made ends. To
    /// count both would make shares look taken that are free, and send pods to wait for others.
    pub fn settle(&mut self, namespace: &str, demand: &Counts) {
        let made = |pending_admission: &PendingAdmission| {
            *pending_admission.namespace == *namespace && pending_admission.demand == *demand
        };
        if let Some(at) = self
            .by_age
            .iter()
            .position(|(_, pending_admission)| made(pending_admission))
            && let Some((_, pending_admission)) = self.by_age.remove(at)
        {
            self.forget(&pending_admission);
        }
    }

    fn forget(&mut self, pending_admission: &PendingAdmission) {
        for (resource, count) in pending_admission.demand.iter() {
            let class = OfferClass {
                strategy: pending_admission.strategy,
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
        let pending_admission = || PendingAdmission {
            namespace: "n".into(),
            strategy: Strategy::Mps,
            demand: Counts::one(GpuResource::GpuShared, 2),
        };
        let mut pending = PendingAdmissions::default();
        pending.add(Duration::ZERO, pending_admission());
        pending.add(Duration::from_secs(20), pending_admission());
        assert_eq!(pending.of(class), 4);
        pending.expire(Duration::from_secs(29));
        assert_eq!(pending.of(class), 4);
        pending.expire(Duration::from_secs(30));
        assert_eq!(pending.of(class), 2);
        pending.expire(Duration::from_secs(50));
        assert!(pending.is_empty());
    }

    #[test]
    fn a_pod_that_has_come_ends_one_claim_of_its_own() {
        let class = OfferClass {
            strategy: Strategy::TimeSlicing,
            resource: GpuResource::GpuShared,
        };
        let demand = Counts::one(GpuResource::GpuShared, 1);
        let mut pending = PendingAdmissions::default();
        for namespace in ["n", "n", "other"] {
            let pending_admission = PendingAdmission {
                namespace: namespace.into(),
                strategy: class.strategy,
                demand: demand.clone(),
            };
            pending.add(Duration::ZERO, pending_admission);
        }
        for (namespace, demand, left) in [
            ("n", &demand, 2),
            ("n", &Counts::one(GpuResource::GpuShared, 2), 2),
            ("n", &demand, 1),
            ("n", &demand, 1),
            ("other", &demand, 0),
        ] {
            pending.settle(namespace, demand);
            assert_eq!(pending.of(class), left, "{namespace} {demand:?}");
        }
        assert!(pending.is_empty());
    }
}
