//! The inventory of a cluster: every node's offers, what is taken, and which namespaces there are.
//!
//! A copy shares all that did not change with its original, so a new one for each event costs what the event changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::dra::DeviceClasses;
use super::node::NodeEntry;
use super::node_map::NodeMap;
use super::offer::{Offer, OfferClass};
use super::pod::PodEntry;
use super::quota::NamespaceQuota;
use crate::gpu::{Counts, GpuResource};
use crate::k8s::LabelSource;
use crate::k8s::text::Labels;
use crate::policy::governance::governing_in;
use crate::policy::{Governed, PolicySet};

/// Everything that decisions read of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    nodes: NodeMap<Arc<NodeEntry>>,
    /// Their names in order, which no pod changes.
    names: OrdSet<Arc<str>>,
    /// Pods with GPUs, by `namespace/name`.
    pods: OrdMap<Arc<str>, Arc<PodEntry>>,
    classes: BTreeMap<OfferClass, OfferPool>,
    namespaces: OrdMap<Box<str>, Arc<Labels>>,
    /// By namespace, kind and name, as [`Inventory::put_quota`] has it.
    quotas: OrdMap<Box<str>, Arc<NamespaceQuota>>,
    device_classes: Arc<DeviceClasses>,
}

/// All offers of one class.
#[derive(Clone, Debug, Default)]
pub(super) struct OfferPool {
    /// The nodes that have one.
    pub(super) nodes: OrdMap<Arc<str>, Arc<NodeEntry>>,
    /// One offer of each sort that the class has, and on how many nodes: same product label, profile and memory. Shared among copies, since
    /// pods come and go and sorts stay.
    variants: Arc<Vec<(Offer, usize)>>,
    /// Shares that waiting pods ask for and could be given now.
    awaited: u64,
}

impl Inventory {
    /// Who governs a pod with these labels in that namespace.
    pub fn governing<'c>(
        &'c self,
        policies: &'c PolicySet,
        namespace: &str,
        pod_labels: &impl LabelSource,
    ) -> Governed<'c> {
        governing_in(policies, namespace, self.namespace(namespace), pod_labels)
    }

    /// Every node, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeEntry> {
        self.names.iter().filter_map(|name| self.node(name))
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.names.len()
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeEntry> {
        self.nodes.get(name).map(|node| &**node)
    }

    /// The pod of that `namespace/name`, if it holds a GPU or waits for one.
    pub fn pod(&self, key: &str) -> Option<&Arc<PodEntry>> {
        self.pods.get(key)
    }

    /// Every pod that holds a GPU or waits for one, by `namespace/name`.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<PodEntry>)> {
        self.pods.iter().map(|(key, pod)| (&**key, pod))
    }

    /// Those of one namespace.
    pub fn pods_of<'i>(&'i self, namespace: &str) -> impl Iterator<Item = (&'i Arc<str>, &'i Arc<PodEntry>)> {
        let prefix = format!("{namespace}/");
        self.pods
            .range(Arc::from(&*prefix)..)
            .take_while(move |(key, _)| key.starts_with(&*prefix))
    }

    /// The labels of a namespace, if it is known.
    pub fn namespace(&self, name: &str) -> Option<&Labels> {
        self.namespaces.get(name).map(|labels| &**labels)
    }

    /// Every namespace that is known, with its labels.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &Labels)> {
        self.namespaces.iter().map(|(name, labels)| (&**name, &**labels))
    }

    /// The quotas and limit ranges of a namespace that speak of GPUs.
    pub fn quotas(&self, namespace: &str) -> impl Iterator<Item = &NamespaceQuota> {
        let prefix = format!("{namespace}/");
        self.quotas
            .range(Box::from(&*prefix)..)
            .take_while(move |(key, _)| key.starts_with(&*prefix))
            .map(|(_, quota)| &**quota)
    }

    /// What device classes serve.
    pub fn device_classes(&self) -> &DeviceClasses {
        &self.device_classes
    }

    /// The sorts of offers in a class: one of each product label, profile and memory, whatever its node and numbers.
    pub fn variants(&self, class: OfferClass) -> impl Iterator<Item = &Offer> {
        self.stock(class)
            .into_iter()
            .flat_map(|stock| stock.variants.iter().map(|(offer, _)| offer))
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
        self.nodes().flat_map(|node| node.held.counts().iter()).collect()
    }

    pub(super) fn stock(&self, class: OfferClass) -> Option<&OfferPool> {
        self.classes.get(&class)
    }

    /// Adds a pod, or replaces it; `None` takes it away. Returns the one before.
    pub(super) fn put_pod(&mut self, key: &str, pod: Option<Arc<PodEntry>>) -> Option<Arc<PodEntry>> {
        match pod {
            Some(pod) => self.pods.insert(key.into(), pod),
            None => self.pods.remove(key),
        }
    }

    /// Adds a node, or replaces it.
    pub(super) fn put_node(&mut self, node: NodeEntry) {
        let node = Arc::new(node);
        let before = self.nodes.insert(Arc::clone(&node.name), Arc::clone(&node));
        if before.as_ref().is_some_and(|before| before.offers == node.offers) {
            for offer in &node.offers.offers {
                if let Some(stock) = self.classes.get_mut(&offer.class()) {
                    stock.nodes.insert(Arc::clone(&node.name), Arc::clone(&node));
                }
            }
            return;
        }
        match before {
            Some(before) => self.withdraw(&before),
            None => drop(self.names.insert(Arc::clone(&node.name))),
        }
        for offer in &node.offers.offers {
            self.classes.entry(offer.class()).or_default().add(&node, offer);
        }
    }

    /// Takes a node away.
    pub(super) fn remove_node(&mut self, name: &str) -> bool {
        self.names.remove(name);
        let gone = self.nodes.remove(name);
        if let Some(node) = &gone {
            self.withdraw(node);
        }
        gone.is_some()
    }

    fn withdraw(&mut self, node: &NodeEntry) {
        for offer in &node.offers.offers {
            if let Some(stock) = self.classes.get_mut(&offer.class()) {
                stock.remove(&node.name, offer);
                if stock.nodes.is_empty() {
                    self.classes.remove(&offer.class());
                }
            }
        }
    }

    /// Adds a namespace, or replaces its labels.
    pub(super) fn put_namespace(&mut self, name: &str, labels: Labels) {
        self.namespaces.insert(name.into(), Arc::new(labels));
    }

    /// Takes a namespace away.
    pub(super) fn remove_namespace(&mut self, name: &str) -> bool {
        self.namespaces.remove(name).is_some()
    }

    /// Adds what a quota or limit range says, or replaces it, under `namespace/kind/name`. Returns whether that changes anything.
    pub(super) fn put_quota(&mut self, key: &str, quota: Option<NamespaceQuota>) -> bool {
        if self.quotas.get(key).map(|before| &**before) == quota.as_ref() {
            return false;
        }
        match quota {
            Some(quota) => drop(self.quotas.insert(key.into(), Arc::new(quota))),
            None => drop(self.quotas.remove(key)),
        }
        true
    }

    /// A device class serves this GPU resource, or none (any more). Returns whether that changes anything.
    pub(super) fn put_device_class(&mut self, name: &str, resource: Option<GpuResource>) -> bool {
        Arc::make_mut(&mut self.device_classes).put(name, resource)
    }

    /// Says how many shares of each class are awaited; classes that are not named have none.
    pub(super) fn set_awaited(&mut self, awaited: &BTreeMap<OfferClass, u64>) {
        for (class, stock) in &mut self.classes {
            stock.awaited = awaited.get(class).copied().unwrap_or(0);
        }
    }
}

impl OfferPool {
    fn add(&mut self, node: &Arc<NodeEntry>, offer: &Offer) {
        self.nodes.insert(Arc::clone(&node.name), Arc::clone(node));
        let variants = Arc::make_mut(&mut self.variants);
        match variants.iter_mut().find(|(sort, _)| same_sort(sort, offer)) {
            Some((_, count)) => *count += 1,
            None => variants.push((offer.clone(), 1)),
        }
    }

    fn remove(&mut self, node: &str, offer: &Offer) {
        self.nodes.remove(node);
        let variants = Arc::make_mut(&mut self.variants);
        if let Some(at) = variants.iter().position(|(sort, _)| same_sort(sort, offer)) {
            variants[at].1 -= 1;
            if variants[at].1 == 0 {
                variants.remove(at);
            }
        }
    }
}

fn same_sort(a: &Offer, b: &Offer) -> bool {
    (&a.product_label, a.profile, a.memory) == (&b.product_label, b.profile, b.memory)
}
