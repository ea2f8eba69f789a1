//! Gauges of the current state: shares by class, unusable nodes, policies, violations.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::state::{State, Violations};
use apportion_core::inventory::{Inventory, OfferClass};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    strategy: &'static str,
    resource: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    policy: String,
    mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViolationLabels {
    policy: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServedLabels {
    class: String,
    resource: String,
}

/// Set at every scrape.
#[derive(Debug, Default)]
pub(super) struct StateGauges {
    total: Family<ClassLabels, Gauge>,
    used: Family<ClassLabels, Gauge>,
    awaited: Family<ClassLabels, Gauge>,
    unusable: Family<ReasonLabel, Gauge>,
    policies: Family<PolicyLabels, Gauge>,
    nodes: Gauge,
    device_classes: Family<ServedLabels, Gauge>,
    violations: Family<ViolationLabels, Gauge>,
}

impl StateGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("offer_shares", "Shares that nodes offer", self.total.clone());
        registry.register("offer_shares_used", "Shares that pods hold", self.used.clone());
        registry.register(
            "offer_shares_awaited",
            "Shares that pending pods request and that are free",
            self.awaited.clone(),
        );
        registry.register(
            "nodes_unusable",
            "Nodes with GPUs that cannot be used",
            self.unusable.clone(),
        );
        registry.register("policies", "Policies loaded", self.policies.clone());
        registry.register("nodes", "Nodes known", self.nodes.clone());
        registry.register(
            "device_classes",
            "Device classes through which DRA serves GPUs where no device plugin does",
            self.device_classes.clone(),
        );
        registry.register(
            "breaches",
            "GPU pods that violate their policy",
            self.violations.clone(),
        );
    }

    /// Sets every gauge from `state` and removes series that it does not have.
    pub(super) fn set(&self, state: &State) {
        for family in [&self.total, &self.used, &self.awaited] {
            family.clear();
        }
        self.unusable.clear();
        self.policies.clear();
        self.device_classes.clear();
        for policy in state.policies.iter() {
            let labels = PolicyLabels {
                policy: policy.name.to_string(),
                mode: policy.mode.as_str(),
            };
            self.policies.get_or_create(&labels).set(1);
        }
        self.violations.clear();
        for ((policy, kind), count) in state.violations.iter().flat_map(Violations::counts) {
            let labels = ViolationLabels {
                policy: policy.to_owned(),
                kind: kind.as_str(),
            };
            self.violations.get_or_create(&labels).set(gauge(count));
        }
        if let Some(inventory) = state.inventory.as_deref() {
            self.set_inventory(inventory);
        }
    }

    fn set_inventory(&self, inventory: &Inventory) {
        self.nodes.set(gauge(inventory.node_count() as u64));
        for (class, resource) in inventory.device_classes().iter() {
            let labels = ServedLabels {
                class: class.to_owned(),
                resource: resource.to_string(),
            };
            self.device_classes.get_or_create(&labels).set(1);
        }
        let mut sums: BTreeMap<OfferClass, (u64, u64)> = BTreeMap::new();
        let mut unusable: BTreeMap<String, u64> = BTreeMap::new();
        for node in inventory.nodes() {
            for offer in &node.offers.offers {
                let (total, used) = sums.entry(offer.class()).or_default();
                *total += offer.total;
                *used += offer.total - node.free(offer);
            }
            let paused = node.offers.reconfiguration.as_ref().map(ToString::to_string);
            for reason in node
                .offers
                .problems
                .iter()
                .map(|problem| problem.short.to_owned())
                .chain(paused)
            {
                *unusable.entry(reason).or_default() += 1;
            }
        }
        for (class, (total, used)) in sums {
            let labels = ClassLabels {
                strategy: class.strategy.as_str(),
                resource: class.resource.to_string(),
            };
            self.total.get_or_create(&labels).set(gauge(total));
            self.used.get_or_create(&labels).set(gauge(used));
            self.awaited
                .get_or_create(&labels)
                .set(gauge(inventory.pending_demand(class)));
        }
        for (reason, count) in unusable {
            self.unusable.get_or_create(&ReasonLabel { reason }).set(gauge(count));
        }
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
