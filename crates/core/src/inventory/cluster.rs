//! The inventory of a cluster: offers and usage of every node, pods with GPUs, and namespaces.
//!
//! Copies share structure, so the copy that each event makes costs only what the event changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap, OrdSet};

use super::dra::DeviceClasses;
use super::node::NodeEntry;
use super::offer::{Offer, OfferClass};
use super::pod::PodEntry;
use super::quota::NamespaceQuota;
use crate::gpu::{Counts, GpuResource};
use crate::k8s::LabelSource;
use crate::k8s::Labels;
use crate::policy::{Governed, PolicySet};

/// A persistent hash map by node name.
///
/// Node names share long prefixes, so an ordered map would compare a dozen long strings where a
/// hash map compares one.
pub(super) type NodeMap<V> = GenericHashMap<Arc<str>, V, foldhash::fast::RandomState, DefaultSharedPtr>;

/// Everything that decisions read from the cluster.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    nodes: NodeMap<Arc<NodeEntry>>,
    /// Node names in order. Kept apart from `nodes`, because pod events change only the latter.
    names: OrdSet<Arc<str>>,
    /// Pods with GPUs, by `namespace/name`.
    pods: OrdMap<Arc<str>, Arc<PodEntry>>,
    pools: BTreeMap<OfferClass, OfferPool>,
    namespaces: OrdMap<Box<str>, Arc<Labels>>,
    /// By `namespace/plural/name`; see [`Inventory::put_quota`].
    quotas: OrdMap<Box<str>, Arc<NamespaceQuota>>,
    device_classes: Arc<DeviceClasses>,
}

/// All offers of one class.
#[derive(Clone, Debug, Default)]
pub(super) struct OfferPool {
    /// The nodes with an offer of the class.
    pub(super) nodes: OrdMap<Arc<str>, Arc<NodeEntry>>,
    /// One offer for each distinct product label, profile and memory, with the number of nodes that
    /// have it. Copies share it, since variants change far less often than pods.
    variants: Arc<Vec<(Offer, usize)>>,
    /// Shares requested by unscheduled pods that some node could hold now.
    pending_demand: u64,
}

impl Inventory {
    /// Which policy governs a pod with these labels; the labels of its namespace come from the
    /// inventory.
    pub fn governing<'c>(
        &'c self,
        policies: &'c PolicySet,
        namespace: &str,
        pod_labels: &impl LabelSource,
    ) -> Governed<'c> {
        policies.governing_in(namespace, self.namespace(namespace), pod_labels)
    }

    /// Every node, in the order of names.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeEntry> {
        self.names.iter().filter_map(|name| self.node(name))
    }

    pub fn node_count(&self) -> usize {
        self.names.len()
    }

    pub fn node(&self, name: &str) -> Option<&NodeEntry> {
        self.nodes.get(name).map(|node| &**node)
    }

    /// The pod with this `namespace/name`, if it holds a GPU or waits for one.
    pub fn pod(&self, key: &str) -> Option<&Arc<PodEntry>> {
        self.pods.get(key)
    }

    /// Every pod that holds a GPU or waits for one, in the order of `namespace/name`.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<PodEntry>)> {
        self.pods.iter().map(|(key, pod)| (&**key, pod))
    }

    /// The pods of one namespace, by `namespace/name`.
    pub fn pods_in_namespace<'i>(&'i self, namespace: &str) -> impl Iterator<Item = (&'i Arc<str>, &'i Arc<PodEntry>)> {
        let prefix = format!("{namespace}/");
        self.pods
            .range(Arc::from(&*prefix)..)
            .take_while(move |(key, _)| key.starts_with(&*prefix))
    }

    /// The labels of a namespace; `None` while the namespace is unknown.
    pub fn namespace(&self, name: &str) -> Option<&Labels> {
        self.namespaces.get(name).map(|labels| &**labels)
    }

    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &Labels)> {
        self.namespaces.iter().map(|(name, labels)| (&**name, &**labels))
    }

    /// The `ResourceQuota` and `LimitRange` objects of a namespace that name GPU resources.
    pub fn quotas(&self, namespace: &str) -> impl Iterator<Item = &NamespaceQuota> {
        let prefix = format!("{namespace}/");
        self.quotas
            .range(Box::from(&*prefix)..)
            .take_while(move |(key, _)| key.starts_with(&*prefix))
            .map(|(_, quota)| &**quota)
    }

    pub fn device_classes(&self) -> &DeviceClasses {
        &self.device_classes
    }

    /// One offer for each distinct product label, profile and memory in a class, regardless of node
    /// and counts.
    pub fn variants(&self, class: OfferClass) -> impl Iterator<Item = &Offer> {
        self.pool(class)
            .into_iter()
            .flat_map(|pool| pool.variants.iter().map(|(offer, _)| offer))
    }

    /// Every class that some node offers.
    pub fn classes(&self) -> impl Iterator<Item = OfferClass> + '_ {
        self.pools.keys().copied()
    }

    /// Shares of a class requested by unscheduled pods that some node could hold now.
    pub fn pending_demand(&self, class: OfferClass) -> u64 {
        self.pool(class).map_or(0, |pool| pool.pending_demand)
    }

    /// What all pods on all nodes hold.
    pub fn used(&self) -> Counts {
        self.nodes().flat_map(|node| node.usage.counts().iter()).collect()
    }

    pub(super) fn pool(&self, class: OfferClass) -> Option<&OfferPool> {
        self.pools.get(&class)
    }

    /// Adds, replaces or (with `None`) removes a pod. Returns the previous entry.
    pub(super) fn put_pod(&mut self, key: &str, pod: Option<Arc<PodEntry>>) -> Option<Arc<PodEntry>> {
        match pod {
            Some(pod) => self.pods.insert(key.into(), pod),
            None => self.pods.remove(key),
        }
    }

    /// Adds or replaces a node.
    pub(super) fn put_node(&mut self, node: NodeEntry) {
        let node = Arc::new(node);
        let before = self.nodes.insert(Arc::clone(&node.name), Arc::clone(&node));
        if before.as_ref().is_some_and(|before| before.offers == node.offers) {
            for offer in &node.offers.offers {
                if let Some(pool) = self.pools.get_mut(&offer.class()) {
                    pool.nodes.insert(Arc::clone(&node.name), Arc::clone(&node));
                }
            }
            return;
        }
        match before {
            Some(before) => self.remove_offers(&before),
            None => drop(self.names.insert(Arc::clone(&node.name))),
        }
        for offer in &node.offers.offers {
            self.pools.entry(offer.class()).or_default().add(&node, offer);
        }
    }

    /// Returns whether the node was known.
    pub(super) fn remove_node(&mut self, name: &str) -> bool {
        self.names.remove(name);
        let removed = self.nodes.remove(name);
        if let Some(node) = &removed {
            self.remove_offers(node);
        }
        removed.is_some()
    }

    fn remove_offers(&mut self, node: &NodeEntry) {
        for offer in &node.offers.offers {
            if let Some(pool) = self.pools.get_mut(&offer.class()) {
                pool.remove(&node.name, offer);
                if pool.nodes.is_empty() {
                    self.pools.remove(&offer.class());
                }
            }
        }
    }

    pub(super) fn put_namespace(&mut self, name: &str, labels: Labels) {
        self.namespaces.insert(name.into(), Arc::new(labels));
    }

    /// Returns whether the namespace was known.
    pub(super) fn remove_namespace(&mut self, name: &str) -> bool {
        self.namespaces.remove(name).is_some()
    }

    /// Adds, replaces or (with `None`) removes a quota or limit range under
    /// `namespace/plural/name`. Returns whether anything changed.
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

    /// Records the GPU resource that a device class serves. Returns whether anything changed.
    pub(super) fn put_device_class(&mut self, name: &str, resource: Option<GpuResource>) -> bool {
        Arc::make_mut(&mut self.device_classes).put(name, resource)
    }

    /// Replaces the pending demand of every class; classes that are missing from the map have none.
    pub(super) fn set_pending_demand(&mut self, demand: &BTreeMap<OfferClass, u64>) {
        for (class, pool) in &mut self.pools {
            pool.pending_demand = demand.get(class).copied().unwrap_or(0);
        }
    }
}

impl OfferPool {
    fn add(&mut self, node: &Arc<NodeEntry>, offer: &Offer) {
        self.nodes.insert(Arc::clone(&node.name), Arc::clone(node));
        let variants = Arc::make_mut(&mut self.variants);
        match variants.iter_mut().find(|(variant, _)| same_variant(variant, offer)) {
            Some((_, count)) => *count += 1,
            None => variants.push((offer.clone(), 1)),
        }
    }

    fn remove(&mut self, node: &str, offer: &Offer) {
        self.nodes.remove(node);
        let variants = Arc::make_mut(&mut self.variants);
        if let Some(at) = variants.iter().position(|(variant, _)| same_variant(variant, offer)) {
            variants[at].1 -= 1;
            if variants[at].1 == 0 {
                variants.remove(at);
            }
        }
    }
}

fn same_variant(a: &Offer, b: &Offer) -> bool {
    (&a.product_label, a.profile, a.memory) == (&b.product_label, b.profile, b.memory)
}
