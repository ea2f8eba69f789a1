//! Shares promised to pods that the webhook has just admitted, and that the inventory does not have
//! yet.
//!
//! Without these, a burst of pods would see the same last free slice until the first pod arrives
//! through the watch. A pending admission ends when its pod arrives. Pending admissions guide the
//! choice of a resource name; what is free is decided by the extender.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::offer::OfferClass;
use crate::gpu::{Counts, Strategy};

/// How long an admission counts if its pod never arrives, because a quota rejected it after the
/// webhook, for example.
pub const PENDING_ADMISSION_LIFETIME: Duration = Duration::from_secs(30);

/// What one pod was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingAdmission {
    /// The pod's namespace. Its name may not be generated yet.
    pub namespace: Box<str>,
    pub strategy: Strategy,
    pub demand: Counts,
}

/// All admissions that still count.
#[derive(Clone, Debug, Default)]
pub struct PendingAdmissions {
    /// With the time of admission, oldest first.
    by_age: VecDeque<(Duration, PendingAdmission)>,
    sums: HashMap<OfferClass, u64>,
}

impl PendingAdmissions {
    /// `now` is the time since a fixed start; it never decreases.
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

    /// Removes admissions older than [`PENDING_ADMISSION_LIFETIME`].
    pub fn expire(&mut self, now: Duration) {
        while let Some((since, _)) = self.by_age.front()
            && now.saturating_sub(*since) >= PENDING_ADMISSION_LIFETIME
            && let Some((_, pending_admission)) = self.by_age.pop_front()
        {
            self.subtract(&pending_admission);
        }
    }

    /// A pod with this demand has arrived through the watch. The inventory counts it now, so the
    /// oldest admission that matches it ends. Counting both would make free shares look taken.
    pub fn settle(&mut self, namespace: &str, demand: &Counts) {
        let matching = self
            .by_age
            .iter()
            .position(|(_, pending)| *pending.namespace == *namespace && pending.demand == *demand);
        if let Some(at) = matching
            && let Some((_, pending_admission)) = self.by_age.remove(at)
        {
            self.subtract(&pending_admission);
        }
    }

    fn subtract(&mut self, pending_admission: &PendingAdmission) {
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
    pub fn shares(&self, class: OfferClass) -> u64 {
        self.sums.get(&class).copied().unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuResource;

    #[test]
    fn admissions_add_up_and_expire() {
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
        assert_eq!(pending.shares(class), 4);
        pending.expire(Duration::from_secs(29));
        assert_eq!(pending.shares(class), 4);
        pending.expire(Duration::from_secs(30));
        assert_eq!(pending.shares(class), 2);
        pending.expire(Duration::from_secs(50));
        assert!(pending.is_empty());
    }

    #[test]
    fn a_pod_that_arrives_ends_one_matching_admission() {
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
            assert_eq!(pending.shares(class), left, "{namespace} {demand:?}");
        }
        assert!(pending.is_empty());
    }
}
