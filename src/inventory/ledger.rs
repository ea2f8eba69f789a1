//! Who holds what: the one writer's view, from which the inventory that readers see is kept up.
//!
//! Events may come in any order - a pod before its node, twice, or again after a relist - and lead to the same inventory.

use std::collections::{BTreeMap, HashMap};

use super::allowance::Allowance;
use super::node::NodeEntry;
use super::offer::OfferClass;
use super::record::{Place, PodRecord};
use super::stock::Inventory;
use super::whereabouts::Whereabouts;
use crate::gpu::{Counts, SharingRule, Strategy};
use crate::object::text::Labels;

/// Waiting pods beyond so many are not looked at one by one: what they await is a hint, and looking takes time.
const MOST_WAITING: usize = 2000;

/// All pods with GPUs, and the inventory that follows from them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    inventory: Inventory,
    /// By `namespace/name`.
    pods: HashMap<Box<str>, PodRecord>,
    /// By node, also of nodes that are not known (yet).
    held: HashMap<Box<str>, Counts>,
    /// Whether what is awaited may have changed.
    stale: bool,
}

impl Ledger {
    /// The inventory as of the last event, but for what is awaited: see [`Ledger::refresh_awaited`].
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// A node is there, or has changed. Returns whether anything that we read of it has.
    pub fn put_node(&mut self, mut node: NodeEntry) -> bool {
        node.used = self.held.get(&node.name).cloned().unwrap_or_default();
        // The kubelet writes its node's status every few minutes, mostly to say that nothing changed.
        if self.inventory.node(&node.name) == Some(&node) {
            return false;
        }
        self.inventory.put_node(node);
        self.stale = true;
        true
    }

    /// A node is gone. Returns whether it was known.
    pub fn remove_node(&mut self, name: &str) -> bool {
        let known = self.inventory.remove_node(name);
        self.stale |= known;
        known
    }

    /// A namespace is there, or has changed.
    pub fn put_namespace(&mut self, name: &str, labels: Labels) -> bool {
        if self.inventory.namespace(name) == Some(&labels) {
            return false;
        }
        self.inventory.put_namespace(name, labels);
        true
    }

    /// A namespace is gone. Returns whether it was known.
    pub fn remove_namespace(&mut self, name: &str) -> bool {
        self.inventory.remove_namespace(name)
    }

    /// A quota (its kind's plural and its `namespace/name`) is there, has changed or is gone; or a limit range. `None` when it says
    /// nothing of GPUs. Returns whether that changes anything.
    pub fn put_allowance(&mut self, plural: &str, key: &str, allowance: Option<Allowance>) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let key = format!("{namespace}/{plural}/{name}");
        self.inventory.put_allowance(&key, allowance)
    }

    /// A pod is there, or has changed; `None` when it neither holds a GPU nor waits for one (any more). Returns whether that changes
    /// anything.
    pub fn put_pod(&mut self, key: &str, record: Option<PodRecord>) -> bool {
        if self.pods.get(key) == record.as_ref() {
            return false;
        }
        let before = self.pods.remove(key);
        if let Some(PodRecord {
            place: Place::Node(node),
            demand,
            ..
        }) = &before
        {
            self.change_held(node, |held| {
                for (resource, count) in demand.iter() {
                    held.subtract(resource, count);
                }
            });
        }
        if let Some(record) = record {
            if let PodRecord {
                place: Place::Node(node),
                demand,
                ..
            } = &record
            {
                self.change_held(node, |held| {
                    for (resource, count) in demand.iter() {
                        held.add(resource, count);
                    }
                });
            }
            self.pods.insert(key.into(), record);
        }
        self.stale = true;
        true
    }

    fn change_held(&mut self, node: &str, change: impl FnOnce(&mut Counts)) {
        let held = self.held.entry(node.into()).or_default();
        change(held);
        if let Some(known) = self.inventory.node(node) {
            let changed = NodeEntry {
                used: held.clone(),
                ..known.clone()
            };
            self.inventory.put_node(changed);
        }
        if held.is_empty() {
            self.held.remove(node);
        }
    }

    /// The pod with that `namespace/name`.
    pub fn pod(&self, key: &str) -> Option<&PodRecord> {
        self.pods.get(key)
    }

    /// Every pod that is known, by `namespace/name`.
    pub fn pods(&self) -> impl Iterator<Item = (&str, &PodRecord)> {
        self.pods.iter().map(|(key, record)| (&**key, record))
    }

    /// Finds out anew what waiting pods await, if that may have changed.
    ///
    /// A pod that nothing can hold now competes with nobody for what is free now, so only those that some node could take count.
    /// Returns whether it was found out.
    pub fn refresh_awaited(&mut self) -> bool {
        if !std::mem::take(&mut self.stale) {
            return false;
        }
        let mut awaited: BTreeMap<OfferClass, u64> = BTreeMap::new();
        let waiting = self.pods.values().filter_map(|record| match &record.place {
            Place::Waiting => Some((&record.wish.whereabouts, &record.demand)),
            Place::Node(_) => None,
        });
        for (whereabouts, demand) in waiting.take(MOST_WAITING) {
            for strategy in Strategy::ALL
                .into_iter()
                .filter(|strategy| self.fits(whereabouts, demand, *strategy))
            {
                for (resource, count) in demand.iter() {
                    let sum = awaited.entry(OfferClass { strategy, resource }).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
        }
        self.inventory.set_awaited(&awaited);
        true
    }

    fn fits(&self, whereabouts: &Whereabouts<'_>, demand: &Counts, strategy: Strategy) -> bool {
        let Some((resource, _)) = demand.iter().next() else {
            return false;
        };
        let rule = SharingRule::any(strategy);
        self.inventory
            .stock(OfferClass { strategy, resource })
            .is_some_and(|stock| {
                stock
                    .nodes
                    .values()
                    .any(|node| node.hold(demand, [&rule], None).is_ok() && node.is_reachable(whereabouts))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(name: &str, gpus: u64) -> NodeEntry {
        let json = format!(
            r#"{{"metadata":{{"name":"{name}","labels":{{"nvidia.com/gpu.product":"NVIDIA-A100-SXM4-80GB","nvidia.com/gpu.count":"8","nvidia.com/gpu.replicas":"1","nvidia.com/gpu.sharing-strategy":"none"}}}},"status":{{"allocatable":{{"nvidia.com/gpu":"{gpus}"}}}}}}"#
        );
        NodeEntry::of(serde_json::from_str(&json).unwrap())
    }

    fn pod(gpus: u64, on: Option<&str>) -> PodRecord {
        let on = on.map(|node| format!(r#","nodeName":"{node}""#)).unwrap_or_default();
        let json =
            format!(r#"{{"spec":{{"containers":[{{"resources":{{"limits":{{"nvidia.com/gpu":{gpus}}}}}}}]{on}}}}}"#);
        PodRecord::of(&serde_json::from_str(&json).unwrap()).unwrap()
    }

    #[derive(Clone, Debug)]
    enum Event {
        Node(&'static str, u64),
        NodeGone(&'static str),
        Pod(&'static str, Option<(u64, Option<&'static str>)>),
    }

    fn apply(ledger: &mut Ledger, event: &Event) {
        match event {
            Event::Node(name, gpus) => drop(ledger.put_node(node(name, *gpus))),
            Event::NodeGone(name) => drop(ledger.remove_node(name)),
            Event::Pod(key, record) => drop(ledger.put_pod(key, record.map(|(gpus, on)| pod(gpus, on)))),
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        let name = prop::sample::select(vec!["a", "b", "c"]);
        let key = prop::sample::select(vec!["n/p", "n/q", "n/r", "n/s"]);
        prop_oneof![
            (name.clone(), 0u64..9).prop_map(|(name, gpus)| Event::Node(name, gpus)),
            name.clone().prop_map(Event::NodeGone),
            (key, prop::option::of((1u64..5, prop::option::of(name))))
                .prop_map(|(key, record)| Event::Pod(key, record)),
        ]
    }

    use proptest::strategy::Strategy;

    proptest! {
        /// Whatever happened on the way, what is known now is all that counts.
        #[test]
        fn any_history_leads_to_what_its_end_alone_leads_to(events in prop::collection::vec(event(), 0..40)) {
            let mut lived = Ledger::default();
            let (mut nodes, mut pods) = (BTreeMap::new(), BTreeMap::new());
            for event in &events {
                apply(&mut lived, event);
                match event {
                    Event::Node(name, gpus) => drop(nodes.insert(*name, *gpus)),
                    Event::NodeGone(name) => drop(nodes.remove(name)),
                    Event::Pod(key, Some(record)) => drop(pods.insert(*key, *record)),
                    Event::Pod(key, None) => drop(pods.remove(key)),
                }
            }
            let mut fresh = Ledger::default();
            for (key, record) in &pods {
                apply(&mut fresh, &Event::Pod(key, Some(*record)));
            }
            for (name, gpus) in &nodes {
                apply(&mut fresh, &Event::Node(name, *gpus));
            }
            lived.refresh_awaited();
            fresh.refresh_awaited();
            prop_assert!(lived.inventory().nodes().eq(fresh.inventory().nodes()));
            prop_assert!(lived.inventory().classes().eq(fresh.inventory().classes()));
            for class in fresh.inventory().classes() {
                prop_assert_eq!(lived.inventory().awaited(class), fresh.inventory().awaited(class));
                let (old, new) = (lived.inventory().stock(class).unwrap(), fresh.inventory().stock(class).unwrap());
                prop_assert!(old.nodes.iter().eq(new.nodes.iter()));
                prop_assert_eq!(lived.inventory().sorts(class).count(), fresh.inventory().sorts(class).count());
            }
            prop_assert_eq!(&lived.held, &fresh.held);
        }
    }
}
