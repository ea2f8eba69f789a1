//! Whether the cluster can serve a demand: now, at other times, or never.

use super::inventory::Inventory;
use super::node_usage::PodRequestRef;
use super::offer::OfferClass;
use super::pending_admissions::PendingAdmissions;
use super::scheduling_constraints::SchedulingConstraints;
use crate::policy::SharingRule;

/// How well the cluster can serve a demand. In order: the better, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// No node that the pod may run on has such an offer, or none is large enough.
    None,
    /// Only nodes have it that take no pods now: not ready, cordoned, tainted, or being reconfigured.
    Closed,
    /// No device plugin gives it, or not now, and a node's DRA driver may: see [`mod@super::dra`].
    Delegated,
    /// Some node has it, and all is taken.
    Exists,
    /// Some node has it free, also when all who wait have been served.
    Free,
}

/// A demand to be served.
#[derive(Clone, Copy, Debug)]
pub struct AvailabilityQuery<'w, 'a> {
    /// The rule to be served under.
    pub rule: &'w SharingRule,
    /// What the pod would hold.
    pub request: PodRequestRef<'w>,
    /// Where the pod may run.
    pub scheduling: &'w SchedulingConstraints<'a>,
}

impl Inventory {
    /// How well the cluster can serve `wanted`, with `claims` taken away from what is free.
    ///
    /// Costs at most what the nodes with the wanted resource cost, and stops at the first proof that it is free. Only where these do not
    /// do and a device class serves the resource, every node is looked at.
    pub fn availability(&self, wanted: &AvailabilityQuery<'_, '_>, pending: &PendingAdmissions) -> Availability {
        match self.plugin_availability(wanted, pending) {
            Availability::None | Availability::Closed if self.may_use_dra(wanted) => Availability::Delegated,
            seen => seen,
        }
    }

    fn may_use_dra(&self, wanted: &AvailabilityQuery<'_, '_>) -> bool {
        let classes = self.device_classes();
        wanted
            .request
            .demand
            .iter()
            .any(|(resource, _)| classes.serving(resource).is_some())
            && self.nodes().any(|node| {
                node.offers.paused.is_none()
                    && node.leave(&wanted.request, [wanted.rule], classes).is_ok()
                    && node.is_reachable(wanted.scheduling)
            })
    }

    fn plugin_availability(&self, wanted: &AvailabilityQuery<'_, '_>, pending: &PendingAdmissions) -> Availability {
        let Some((first, _)) = wanted.request.demand.iter().next() else {
            return Availability::Free;
        };
        let class = |resource| OfferClass {
            strategy: wanted.rule.strategy,
            resource,
        };
        let Some(stock) = self.stock(class(first)) else {
            return Availability::None;
        };

        let promised: Vec<u64> = wanted
            .request
            .demand
            .iter()
            .map(|(r, _)| self.awaited(class(r)).saturating_add(pending.of(class(r))))
            .collect();
        let mut free_in_all = vec![0u64; promised.len()];
        let (mut closed, mut exists, mut fits_somewhere) = (false, false, false);
        for node in stock.nodes.values() {
            if !wanted.scheduling.constraints.admit(&node.name, &node.labels) {
                continue;
            }
            let offers: Result<Vec<_>, _> = wanted
                .request
                .demand
                .iter()
                .map(|(resource, needs)| {
                    node.offers
                        .serving(resource, wanted.rule, wanted.request.memory)
                        .map(|offer| (offer, needs))
                })
                .collect();
            let Ok(offers) = offers else { continue };
            if offers.iter().any(|(offer, needs)| offer.total < *needs) {
                continue;
            }
            if node.offers.paused.is_some() || !node.open || !wanted.scheduling.tolerate(&node.taints) {
                closed = true;
                continue;
            }
            exists = true;
            if node.check_neighbours(&wanted.request).is_err() {
                continue;
            }
            fits_somewhere |= offers.iter().all(|(offer, needs)| node.free(offer) >= *needs);
            for (sum, (offer, _)) in free_in_all.iter_mut().zip(&offers) {
                *sum = sum.saturating_add(node.shares_left(offer, &wanted.request));
            }
            let enough = || {
                free_in_all
                    .iter()
                    .zip(&promised)
                    .zip(wanted.request.demand.iter())
                    .all(|((free, promised), (_, needs))| free.saturating_sub(*promised) >= needs)
            };
            if fits_somewhere && enough() {
                return Availability::Free;
            }
        }
        match (exists, closed) {
            (true, _) => Availability::Exists,
            (false, true) => Availability::Closed,
            (false, false) => Availability::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Counts, GpuResource, Strategy};
    use crate::inventory::{Ledger, NodeEntry, PendingAdmission, PodRecord};
    use crate::policy::Guarantees;
    use apportion_mig::memory::MiB;
    use std::sync::Arc;
    use std::time::Duration;

    fn node(name: &str, gpus: u64) -> NodeEntry {
        let json = format!(
            r#"{{"metadata":{{"name":"{name}","labels":{{"zone":"{name}","nvidia.com/gpu.product":"NVIDIA-A100-SXM4-80GB","nvidia.com/gpu.count":"{gpus}","nvidia.com/gpu.replicas":"1","nvidia.com/gpu.sharing-strategy":"none","nvidia.com/gpu.memory":"81920"}}}},"status":{{"allocatable":{{"nvidia.com/gpu":"{gpus}"}}}}}}"#
        );
        NodeEntry::of(serde_json::from_str(&json).unwrap())
    }

    fn pod(gpus: u64, rest: &str) -> PodRecord {
        let json = format!(
            r#"{{"metadata":{{"name":"p"}},"spec":{{"containers":[{{"resources":{{"limits":{{"nvidia.com/gpu":{gpus}}}}}}}]{rest}}}}}"#
        );
        PodRecord::of(&serde_json::from_str(&json).unwrap()).unwrap()
    }

    fn availability(mut ledger: Ledger, gpus: u64, memory: Option<u64>, pending: &PendingAdmissions) -> Availability {
        ledger.refresh_awaited();
        ledger.inventory().availability(
            &AvailabilityQuery {
                rule: &SharingRule::any(Strategy::Exclusive),
                request: PodRequestRef {
                    demand: &Counts::one(GpuResource::Gpu, gpus),
                    memory: memory.map(MiB),
                    terms: &Arc::new(Guarantees::none("n")),
                },
                scheduling: &SchedulingConstraints::default(),
            },
            pending,
        )
    }

    #[test]
    fn free_is_what_one_node_can_give_beside_all_who_wait() {
        let none = PendingAdmissions::default();
        let mut claimed = PendingAdmissions::default();
        claimed.add(
            Duration::ZERO,
            PendingAdmission {
                namespace: "n".into(),
                strategy: Strategy::Exclusive,
                demand: Counts::one(GpuResource::Gpu, 6),
            },
        );
        let on_a = r#","nodeName":"a""#;
        let pinned = r#","nodeSelector":{"zone":"a"}"#;
        let nowhere = r#","nodeSelector":{"zone":"x"}"#;
        for (case, pods, gpus, memory, pending, expected) in [
            ("an empty cluster", vec![], 8, None, &none, Availability::Free),
            ("more than any node has", vec![], 9, None, &none, Availability::None),
            (
                "8 free in all, 4 on each node",
                vec![(4, on_a), (4, r#","nodeName":"b""#)],
                8,
                None,
                &none,
                Availability::Exists,
            ),
            (
                "a waiting pod counts as taken",
                vec![(8, on_a), (1, "")],
                8,
                None,
                &none,
                Availability::Exists,
            ),
            (
                "a waiting pod that fits nowhere competes with nobody",
                vec![(8, on_a), (9, "")],
                8,
                None,
                &none,
                Availability::Free,
            ),
            (
                "nor does one whose own node is full",
                vec![(8, on_a), (1, pinned)],
                8,
                None,
                &none,
                Availability::Free,
            ),
            (
                "nor one that no node admits",
                vec![(1, nowhere)],
                8,
                None,
                &none,
                Availability::Free,
            ),
            (
                "a claim counts as taken",
                vec![(8, on_a)],
                3,
                None,
                &claimed,
                Availability::Exists,
            ),
            (
                "what the claim leaves is free",
                vec![(8, on_a)],
                2,
                None,
                &claimed,
                Availability::Free,
            ),
            ("too little memory", vec![], 1, Some(90_000), &none, Availability::None),
            ("enough memory", vec![], 1, Some(81_920), &none, Availability::Free),
        ] {
            let mut ledger = Ledger::default();
            ledger.put_node(node("a", 8));
            ledger.put_node(node("b", 8));
            for (at, (count, rest)) in pods.into_iter().enumerate() {
                ledger.put_pod(&format!("n/{at}"), Some(pod(count, rest)));
            }
            assert_eq!(availability(ledger, gpus, memory, pending), expected, "{case}");
        }
    }

    #[test]
    fn closed_and_paused_nodes_serve_nobody() {
        let mut cordoned = node("a", 8);
        cordoned.open = false;
        let mut paused = node("b", 8);
        Arc::make_mut(&mut paused.offers).paused = Some(crate::inventory::offer::ReconfigurationState::DevicePlugin);
        let mut ledger = Ledger::default();
        ledger.put_node(cordoned);
        ledger.put_node(paused);
        assert_eq!(
            availability(ledger, 1, None, &PendingAdmissions::default()),
            Availability::Closed
        );
    }
}
