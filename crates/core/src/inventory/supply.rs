//! Whether the cluster can serve a demand: now, at other times, or never.

use super::claims::Claims;
use super::holdings::Holding;
use super::offer::OfferClass;
use super::stock::Inventory;
use super::whereabouts::Whereabouts;
use crate::policy::SharingRule;

/// How well the cluster can serve a demand. In order: the better, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Supply {
    /// No node that the pod may run on has such an offer, or none is large enough.
    None,
    /// Only nodes have it that take no pods now: not ready, cordoned, tainted, or being reconfigured.
    Closed,
    /// No device plugin gives it, or not now, and a node's DRA driver may: see [`mod@super::delegation`].
    Delegated,
    /// Some node has it, and all is taken.
    Exists,
    /// Some node has it free, also when all who wait have been served.
    Free,
}

/// A demand to be served.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w, 'a> {
    /// The rule to be served under.
    pub rule: &'w SharingRule,
    /// What the pod would hold.
    pub holding: Holding<'w>,
    /// Where the pod may run.
    pub whereabouts: &'w Whereabouts<'a>,
}

impl Inventory {
    /// How well the cluster can serve `wanted`, with `claims` taken away from what is free.
    ///
    /// Costs at most what the nodes with the wanted resource cost, and stops at the first proof that it is free. Only where these do not
    /// do and a device class serves the resource, every node is looked at.
    pub fn supply(&self, wanted: &Wanted<'_, '_>, claims: &Claims) -> Supply {
        match self.supply_of_plugins(wanted, claims) {
            Supply::None | Supply::Closed if self.may_delegate(wanted) => Supply::Delegated,
            seen => seen,
        }
    }

    fn may_delegate(&self, wanted: &Wanted<'_, '_>) -> bool {
        let classes = self.device_classes();
        wanted
            .holding
            .demand
            .iter()
            .any(|(resource, _)| classes.serving(resource).is_some())
            && self.nodes().any(|node| {
                node.offers.paused.is_none()
                    && node.leave(&wanted.holding, [wanted.rule], classes).is_ok()
                    && node.is_reachable(wanted.whereabouts)
            })
    }

    fn supply_of_plugins(&self, wanted: &Wanted<'_, '_>, claims: &Claims) -> Supply {
        let Some((first, _)) = wanted.holding.demand.iter().next() else {
            return Supply::Free;
        };
        let class = |resource| OfferClass {
            strategy: wanted.rule.strategy,
            resource,
        };
        let Some(stock) = self.stock(class(first)) else {
            return Supply::None;
        };

        let promised: Vec<u64> = wanted
            .holding
            .demand
            .iter()
            .map(|(r, _)| self.awaited(class(r)).saturating_add(claims.of(class(r))))
            .collect();
        let mut free_in_all = vec![0u64; promised.len()];
        let (mut closed, mut exists, mut fits_somewhere) = (false, false, false);
        for node in stock.nodes.values() {
            if !wanted.whereabouts.constraints.admit(&node.name, &node.labels) {
                continue;
            }
            let offers: Result<Vec<_>, _> = wanted
                .holding
                .demand
                .iter()
                .map(|(resource, needs)| {
                    node.offers
                        .serving(resource, wanted.rule, wanted.holding.memory)
                        .map(|offer| (offer, needs))
                })
                .collect();
            let Ok(offers) = offers else { continue };
            if offers.iter().any(|(offer, needs)| offer.total < *needs) {
                continue;
            }
            if node.offers.paused.is_some() || !node.open || !wanted.whereabouts.tolerate(&node.taints) {
                closed = true;
                continue;
            }
            exists = true;
            if node.check_neighbours(&wanted.holding).is_err() {
                continue;
            }
            fits_somewhere |= offers.iter().all(|(offer, needs)| node.free(offer) >= *needs);
            for (sum, (offer, _)) in free_in_all.iter_mut().zip(&offers) {
                *sum = sum.saturating_add(node.shares_left(offer, &wanted.holding));
            }
            let enough = || {
                free_in_all
                    .iter()
                    .zip(&promised)
                    .zip(wanted.holding.demand.iter())
                    .all(|((free, promised), (_, needs))| free.saturating_sub(*promised) >= needs)
            };
            if fits_somewhere && enough() {
                return Supply::Free;
            }
        }
        match (exists, closed) {
            (true, _) => Supply::Exists,
            (false, true) => Supply::Closed,
            (false, false) => Supply::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Counts, GpuResource, Strategy};
    use crate::inventory::{Claim, Ledger, NodeEntry, PodRecord};
    use crate::policy::Terms;
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

    fn supply(mut ledger: Ledger, gpus: u64, memory: Option<u64>, claims: &Claims) -> Supply {
        ledger.refresh_awaited();
        ledger.inventory().supply(
            &Wanted {
                rule: &SharingRule::any(Strategy::Exclusive),
                holding: Holding {
                    demand: &Counts::one(GpuResource::Gpu, gpus),
                    memory: memory.map(MiB),
                    terms: &Arc::new(Terms::none("n")),
                },
                whereabouts: &Whereabouts::default(),
            },
            claims,
        )
    }

    #[test]
    fn free_is_what_one_node_can_give_beside_all_who_wait() {
        let none = Claims::default();
        let mut claimed = Claims::default();
        claimed.add(
            Duration::ZERO,
            Claim {
                namespace: "n".into(),
                strategy: Strategy::Exclusive,
                demand: Counts::one(GpuResource::Gpu, 6),
            },
        );
        let on_a = r#","nodeName":"a""#;
        let pinned = r#","nodeSelector":{"zone":"a"}"#;
        let nowhere = r#","nodeSelector":{"zone":"x"}"#;
        for (case, pods, gpus, memory, claims, expected) in [
            ("an empty cluster", vec![], 8, None, &none, Supply::Free),
            ("more than any node has", vec![], 9, None, &none, Supply::None),
            (
                "8 free in all, 4 on each node",
                vec![(4, on_a), (4, r#","nodeName":"b""#)],
                8,
                None,
                &none,
                Supply::Exists,
            ),
            (
                "a waiting pod counts as taken",
                vec![(8, on_a), (1, "")],
                8,
                None,
                &none,
                Supply::Exists,
            ),
            (
                "a waiting pod that fits nowhere competes with nobody",
                vec![(8, on_a), (9, "")],
                8,
                None,
                &none,
                Supply::Free,
            ),
            (
                "nor does one whose own node is full",
                vec![(8, on_a), (1, pinned)],
                8,
                None,
                &none,
                Supply::Free,
            ),
            (
                "nor one that no node admits",
                vec![(1, nowhere)],
                8,
                None,
                &none,
                Supply::Free,
            ),
            (
                "a claim counts as taken",
                vec![(8, on_a)],
                3,
                None,
                &claimed,
                Supply::Exists,
            ),
            (
                "what the claim leaves is free",
                vec![(8, on_a)],
                2,
                None,
                &claimed,
                Supply::Free,
            ),
            ("too little memory", vec![], 1, Some(90_000), &none, Supply::None),
            ("enough memory", vec![], 1, Some(81_920), &none, Supply::Free),
        ] {
            let mut ledger = Ledger::default();
            ledger.put_node(node("a", 8));
            ledger.put_node(node("b", 8));
            for (at, (count, rest)) in pods.into_iter().enumerate() {
                ledger.put_pod(&format!("n/{at}"), Some(pod(count, rest)));
            }
            assert_eq!(supply(ledger, gpus, memory, claims), expected, "{case}");
        }
    }

    #[test]
    fn closed_and_paused_nodes_serve_nobody() {
        let mut cordoned = node("a", 8);
        cordoned.open = false;
        let mut paused = node("b", 8);
        Arc::make_mut(&mut paused.offers).paused = Some(crate::inventory::offer::Pause::DevicePlugin);
        let mut ledger = Ledger::default();
        ledger.put_node(cordoned);
        ledger.put_node(paused);
        assert_eq!(supply(ledger, 1, None, &Claims::default()), Supply::Closed);
    }
}
