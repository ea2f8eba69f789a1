//! Whether the cluster can serve a demand: now, later, or never.

use super::cluster::Inventory;
use super::node_usage::PodRequestRef;
use super::offer::OfferClass;
use super::pending_admissions::PendingAdmissions;
use super::scheduling_constraints::SchedulingConstraints;
use crate::policy::SharingRule;

/// How well the cluster can serve a demand, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// No node that the pod may run on has a suitable offer of this size.
    None,
    /// Only nodes that take no pods now have it: not ready, cordoned, tainted, or being
    /// reconfigured.
    Unschedulable,
    /// No schedulable node has a device plugin that offers it, but a DRA driver may: see
    /// [`mod@super::dra`].
    ServedByDra,
    /// Some node has it, but all of it is taken.
    Taken,
    /// Some node has it free, and it stays free once all waiting pods are served.
    Free,
}

/// A demand, under one rule of a policy.
#[derive(Clone, Copy, Debug)]
pub struct AvailabilityQuery<'w, 'a> {
    pub rule: &'w SharingRule,
    /// What the pod would hold.
    pub request: PodRequestRef<'w>,
    /// Where the pod may run.
    pub scheduling: &'w SchedulingConstraints<'a>,
}

impl Inventory {
    /// How well the cluster can serve a demand, if the pods of `pending` get their shares first.
    ///
    /// Visits the nodes with an offer of the class, until one proves that the demand is free.
    /// Visits all nodes only if these cannot serve it and a device class exists for the resource.
    pub fn availability(&self, query: &AvailabilityQuery<'_, '_>, pending: &PendingAdmissions) -> Availability {
        match self.plugin_availability(query, pending) {
            Availability::None | Availability::Unschedulable if self.may_be_served_by_dra(query) => {
                Availability::ServedByDra
            }
            availability => availability,
        }
    }

    fn may_be_served_by_dra(&self, query: &AvailabilityQuery<'_, '_>) -> bool {
        let classes = self.device_classes();
        query
            .request
            .demand
            .iter()
            .any(|(resource, _)| classes.class_for(resource).is_some())
            && self.nodes().any(|node| {
                node.offers.reconfiguration.is_none()
                    && node.check_dra(&query.request, [query.rule], classes).is_ok()
                    && node.is_reachable(query.scheduling)
            })
    }

    /// Availability by device plugins alone.
    fn plugin_availability(&self, query: &AvailabilityQuery<'_, '_>, pending: &PendingAdmissions) -> Availability {
        let Some((first, _)) = query.request.demand.iter().next() else {
            return Availability::Free;
        };
        let class = |resource| OfferClass {
            strategy: query.rule.strategy,
            resource,
        };
        let Some(pool) = self.pool(class(first)) else {
            return Availability::None;
        };

        let promised: Vec<u64> = query
            .request
            .demand
            .iter()
            .map(|(resource, _)| {
                let class = class(resource);
                self.pending_demand(class).saturating_add(pending.shares(class))
            })
            .collect();
        let mut free_shares = vec![0u64; promised.len()];
        let (mut unschedulable, mut exists, mut fits_on_a_node) = (false, false, false);
        for node in pool.nodes.values() {
            if !query.scheduling.constraints.matches_node(&node.name, &node.labels) {
                continue;
            }
            let offers: Result<Vec<_>, _> = query
                .request
                .demand
                .iter()
                .map(|(resource, needs)| {
                    node.offers
                        .allowed_offer(resource, query.rule, query.request.memory)
                        .map(|offer| (offer, needs))
                })
                .collect();
            let Ok(offers) = offers else { continue };
            if offers.iter().any(|(offer, needs)| offer.total < *needs) {
                continue;
            }
            if node.offers.reconfiguration.is_some() || !node.schedulable || !query.scheduling.tolerate(&node.taints) {
                unschedulable = true;
                continue;
            }
            exists = true;
            if node.check_limits(&query.request).is_err() {
                continue;
            }
            fits_on_a_node |= offers.iter().all(|(offer, needs)| node.free(offer) >= *needs);
            for (sum, (offer, _)) in free_shares.iter_mut().zip(&offers) {
                *sum = sum.saturating_add(node.available_shares(offer, &query.request));
            }
            let is_enough = || {
                free_shares
                    .iter()
                    .zip(&promised)
                    .zip(query.request.demand.iter())
                    .all(|((free, promised), (_, needs))| free.saturating_sub(*promised) >= needs)
            };
            if fits_on_a_node && is_enough() {
                return Availability::Free;
            }
        }
        match (exists, unschedulable) {
            (true, _) => Availability::Taken,
            (false, true) => Availability::Unschedulable,
            (false, false) => Availability::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Node, Pod};

    use super::*;
    use crate::gpu::{Counts, GpuResource, Strategy};
    use crate::inventory::{Ledger, NodeEntry, PendingAdmission, PodRecord};
    use crate::policy::Guarantees;
    use apportion_mig::memory::MiB;
    use std::sync::Arc;
    use std::time::Duration;

    fn node(name: &str, gpus: u64) -> NodeEntry {
        let node = Node::whole("NVIDIA-A100-SXM4-80GB", gpus, 81920)
            .named(name)
            .label("zone", name);
        NodeEntry::new(serde_json::from_str(&node.to_string()).unwrap())
    }

    fn pod(gpus: u64) -> Pod {
        Pod::new("p").container(Container::new("c").limit("nvidia.com/gpu", gpus))
    }

    fn record(pod: &Pod) -> PodRecord {
        PodRecord::from_pod(&serde_json::from_str(&pod.to_string()).unwrap()).unwrap()
    }

    fn availability(mut ledger: Ledger, gpus: u64, memory: Option<u64>, pending: &PendingAdmissions) -> Availability {
        ledger.refresh_pending_demand();
        ledger.inventory().availability(
            &AvailabilityQuery {
                rule: &SharingRule::any(Strategy::Exclusive),
                request: PodRequestRef {
                    demand: &Counts::one(GpuResource::Gpu, gpus),
                    memory: memory.map(MiB),
                    guarantees: &Arc::new(Guarantees::without_limits("n")),
                },
                scheduling: &SchedulingConstraints::default(),
            },
            pending,
        )
    }

    struct Row {
        case: &'static str,
        pods: Vec<Pod>,
        /// GPUs of a pod that was admitted and does not exist yet.
        admitted: u64,
        /// GPUs that the query asks for.
        gpus: u64,
        /// In MiB.
        memory: Option<u64>,
        expected: Availability,
    }

    impl Default for Row {
        fn default() -> Self {
            Row {
                case: "",
                pods: Vec::new(),
                admitted: 0,
                gpus: 8,
                memory: None,
                expected: Availability::Free,
            }
        }
    }

    #[test]
    fn free_means_that_one_node_has_it_after_all_waiting_pods_are_served() {
        for row in [
            Row {
                case: "an empty cluster",
                ..Row::default()
            },
            Row {
                case: "more than any node has",
                gpus: 9,
                expected: Availability::None,
                ..Row::default()
            },
            Row {
                case: "8 free in total, 4 on each node",
                pods: vec![pod(4).on_node("a"), pod(4).on_node("b")],
                expected: Availability::Taken,
                ..Row::default()
            },
            Row {
                case: "a waiting pod counts as taken",
                pods: vec![pod(8).on_node("a"), pod(1)],
                expected: Availability::Taken,
                ..Row::default()
            },
            Row {
                case: "a waiting pod that fits nowhere is not counted",
                pods: vec![pod(8).on_node("a"), pod(9)],
                ..Row::default()
            },
            Row {
                case: "a waiting pod whose only node is full is not counted",
                pods: vec![pod(8).on_node("a"), pod(1).node_selector("zone", "a")],
                ..Row::default()
            },
            Row {
                case: "a waiting pod that no node admits is not counted",
                pods: vec![pod(1).node_selector("zone", "x")],
                ..Row::default()
            },
            Row {
                case: "a pending admission counts as taken",
                pods: vec![pod(8).on_node("a")],
                admitted: 6,
                gpus: 3,
                expected: Availability::Taken,
                ..Row::default()
            },
            Row {
                case: "what the pending admission leaves is free",
                pods: vec![pod(8).on_node("a")],
                admitted: 6,
                gpus: 2,
                ..Row::default()
            },
            Row {
                case: "too little memory",
                gpus: 1,
                memory: Some(90_000),
                expected: Availability::None,
                ..Row::default()
            },
            Row {
                case: "enough memory",
                gpus: 1,
                memory: Some(81_920),
                ..Row::default()
            },
        ] {
            let mut ledger = Ledger::default();
            ledger.put_node(node("a", 8));
            ledger.put_node(node("b", 8));
            for (at, pod) in row.pods.iter().enumerate() {
                ledger.put_pod(&format!("n/{at}"), Some(record(pod)));
            }
            let mut pending = PendingAdmissions::default();
            if row.admitted > 0 {
                pending.add(
                    Duration::ZERO,
                    PendingAdmission {
                        namespace: "n".into(),
                        strategy: Strategy::Exclusive,
                        demand: Counts::one(GpuResource::Gpu, row.admitted),
                    },
                );
            }
            let found = availability(ledger, row.gpus, row.memory, &pending);
            assert_eq!(found, row.expected, "{}", row.case);
        }
    }

    #[test]
    fn cordoned_and_reconfiguring_nodes_are_unschedulable() {
        let mut cordoned = node("a", 8);
        cordoned.schedulable = false;
        let mut reconfiguring = node("b", 8);
        Arc::make_mut(&mut reconfiguring.offers).reconfiguration =
            Some(crate::inventory::offer::ReconfigurationState::DevicePlugin);
        let mut ledger = Ledger::default();
        ledger.put_node(cordoned);
        ledger.put_node(reconfiguring);
        assert_eq!(
            availability(ledger, 1, None, &PendingAdmissions::default()),
            Availability::Unschedulable
        );
    }
}
