//! The inventory of a cluster: every node's offers, what is taken, and which namespaces there are.

use std::collections::{BTreeMap, HashMap};

use super::node::NodeEntry;
use super::offer::{Offer, OfferClass};
use super::record::{Place, PodRecord};
use crate::gpu::{Counts, SharingRule, Strategy};
use crate::object::text::Labels;

/// Everything that decisions read of the cluster. Immutable: a change makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    nodes: Vec<NodeEntry>,
    by_name: HashMap<Box<str>, usize>,
    classes: BTreeMap<OfferClass, OfferStock>,
    namespaces: HashMap<Box<str>, Labels>,
}

/// All offers of one class.
#[derive(Clone, Debug, Default)]
pub(super) struct OfferStock {
    /// Places in `Inventory::nodes`.
    pub(super) nodes: Vec<usize>,
    /// One offer of each sort that the class has: same product label, profile and memory.
    sorts: Vec<Offer>,
    /// Shares that waiting pods ask for and could be given now.
    pub(super) awaited: u64,
}

/// Collects objects in any order and makes an [`Inventory`] of them.
#[derive(Clone, Debug, Default)]
pub struct InventoryBuilder {
    nodes: Vec<NodeEntry>,
    pods: Vec<PodRecord>,
    namespaces: HashMap<Box<str>, Labels>,
}

impl InventoryBuilder {
    /// Adds a node.
    pub fn node(&mut self, node: NodeEntry) {
        self.nodes.push(node);
    }

    /// Adds a pod.
    pub fn pod(&mut self, pod: PodRecord) {
        self.pods.push(pod);
    }

    /// Adds a namespace.
    pub fn namespace(&mut self, name: &str, labels: Labels) {
        self.namespaces.insert(name.into(), labels);
    }

    /// The inventory of all that was added.
    pub fn build(mut self) -> Inventory {
        self.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self.nodes.dedup_by(|later, earlier| later.name == earlier.name);
        let by_name: HashMap<Box<str>, usize> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (node.name.clone(), at))
            .collect();

        let mut waiting = Vec::new();
        for pod in &self.pods {
            match &pod.place {
                Place::Node(name) => {
                    if let Some(at) = by_name.get(name) {
                        for (resource, count) in pod.demand.iter() {
                            self.nodes[*at].used.add(resource, count);
                        }
                    }
                }
                Place::Waiting(whereabouts) => waiting.push((whereabouts, &pod.demand)),
            }
        }

        let mut classes: BTreeMap<OfferClass, OfferStock> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for offer in &node.offers.offers {
                let stock = classes.entry(offer.class()).or_default();
                stock.nodes.push(at);
                let same = |sort: &Offer| {
                    (&sort.product_label, sort.profile, sort.memory)
                        == (&offer.product_label, offer.profile, offer.memory)
                };
                if !stock.sorts.iter().any(same) {
                    stock.sorts.push(offer.clone());
                }
            }
        }
        let mut inventory = Inventory {
            nodes: self.nodes,
            by_name,
            classes,
            namespaces: self.namespaces,
        };
        let awaited: Vec<(OfferClass, u64)> = waiting
            .into_iter()
            .flat_map(|(whereabouts, demand)| {
                let fits = |strategy| {
                    inventory.nodes.iter().any(|node| {
                        node.is_reachable(whereabouts) && node.hold(demand, [&SharingRule::any(strategy)], None).is_ok()
                    })
                };
                // A pod that nothing can hold now competes with nobody for what is free now.
                Strategy::ALL
                    .into_iter()
                    .filter(|strategy| fits(*strategy))
                    .flat_map(|strategy| {
                        demand
                            .iter()
                            .map(move |(resource, count)| (OfferClass { strategy, resource }, count))
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        for (class, count) in awaited {
            if let Some(stock) = inventory.classes.get_mut(&class) {
                stock.awaited = stock.awaited.saturating_add(count);
            }
        }
        inventory
    }
}

impl Inventory {
    /// Every node, by name.
    pub fn nodes(&self) -> &[NodeEntry] {
        &self.nodes
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeEntry> {
        self.by_name.get(name).map(|at| &self.nodes[*at])
    }

    /// The labels of a namespace, if it is known.
    pub fn namespace(&self, name: &str) -> Option<&Labels> {
        self.namespaces.get(name)
    }

    /// The names of all namespaces that are known.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &Labels)> {
        self.namespaces.iter().map(|(name, labels)| (&**name, labels))
    }

    /// The sorts of offers in a class: one of each product label, profile and memory, whatever its node and numbers.
    pub fn sorts(&self, class: OfferClass) -> &[Offer] {
        self.stock(class).map_or(&[], |stock| &stock.sorts)
    }

    /// Every class that some node offers.
    pub fn classes(&self) -> impl Iterator<Item = OfferClass> + '_ {
        self.classes.keys().copied()
    }

    /// Shares that waiting pods ask for and could be given now.
    pub fn awaited(&self, class: OfferClass) -> u64 {
        self.stock(class).map_or(0, |stock| stock.awaited)
    }

    /// What all pods on all nodes hold.
    pub fn used(&self) -> Counts {
        self.nodes.iter().flat_map(|node| node.used.iter()).collect()
    }

    pub(super) fn stock(&self, class: OfferClass) -> Option<&OfferStock> {
        self.classes.get(&class)
    }
}
