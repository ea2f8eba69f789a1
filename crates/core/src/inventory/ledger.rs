//! The writer's view of the cluster. Events change it, and it keeps the inventory that readers see
//! up to date.
//!
//! Events may come in any order (a pod before its node, an event twice, everything again after a
//! relist) and lead to the same inventory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::cluster::Inventory;
use super::node::NodeEntry;
use super::node_usage::{NodeUsage, PodRequestRef};
use super::offer::{NodeOffers, OfferClass};
use super::pod::{PodEntry, PodRecord};
use super::quota::NamespaceQuota;
use super::scheduling_constraints::SchedulingConstraints;
use crate::gpu::Counts;
use crate::gpu::{GpuResource, Strategy};
use crate::k8s::Labels;
use crate::policy::{Guarantees, PolicySet, SharingRule};

/// Pending demand is a hint and takes time to compute, so unscheduled pods beyond this number are
/// left out.
const MAX_PENDING_PODS: usize = 2000;

/// All pods with GPUs, and the inventory that follows from them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    inventory: Inventory,
    /// The pods on each node, including nodes that are unknown so far.
    pods_by_node: HashMap<Arc<str>, NodePods>,
    policies: Arc<PolicySet>,
    guarantees: Interned<Guarantees>,
    /// Interned, so that readers compute suitability once for each distinct set of offers.
    offers: Interned<NodeOffers>,
    /// Whether pending demand may have changed since it was last computed.
    is_demand_stale: bool,
}

/// The pods on one node.
#[derive(Clone, Debug, Default)]
struct NodePods {
    usage: NodeUsage,
    /// By `namespace/name`.
    pods: BTreeMap<Arc<str>, Arc<PodEntry>>,
}

impl Ledger {
    /// The inventory as of the last event. Pending demand is as of the last
    /// [`Ledger::refresh_pending_demand`].
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Replaces the policies, and updates the guarantees of every pod.
    pub fn set_policies(&mut self, policies: Arc<PolicySet>) {
        self.policies = policies;
        let keys: Vec<Arc<str>> = self.inventory.pods().map(|(key, _)| key.into()).collect();
        self.refresh_guarantees(&keys);
    }

    /// Adds or replaces a node. Returns whether anything changed that the inventory keeps.
    pub fn put_node(&mut self, mut node: NodeEntry) -> bool {
        if let Some(on_node) = self.pods_by_node.get(&node.name) {
            node.usage = on_node.usage.clone();
            node.pods = on_node.pods.values().cloned().collect();
        }
        // The kubelet updates the node status every few minutes, mostly without a change that
        // matters here.
        if self.inventory.node(&node.name) == Some(&node) {
            return false;
        }
        node.offers = self.offers.intern(node.offers);
        self.inventory.put_node(node);
        self.is_demand_stale = true;
        true
    }

    /// Returns whether the node was known.
    pub fn remove_node(&mut self, name: &str) -> bool {
        let known = self.inventory.remove_node(name);
        self.is_demand_stale |= known;
        known
    }

    /// Adds a namespace or replaces its labels. Returns whether anything changed.
    pub fn put_namespace(&mut self, name: &str, labels: Labels) -> bool {
        if self.inventory.namespace(name) == Some(&labels) {
            return false;
        }
        self.inventory.put_namespace(name, labels);
        self.refresh_namespace(name);
        true
    }

    /// Returns whether the namespace was known.
    pub fn remove_namespace(&mut self, name: &str) -> bool {
        let known = self.inventory.remove_namespace(name);
        self.refresh_namespace(name);
        known
    }

    /// Adds, replaces or removes a quota or limit range: `plural` is the plural name of its kind,
    /// `key` is `namespace/name`. Pass `None` if it is gone or names no GPU resource. Returns
    /// whether anything changed.
    pub fn put_quota(&mut self, plural: &str, key: &str, quota: Option<NamespaceQuota>) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let key = format!("{namespace}/{plural}/{name}");
        self.inventory.put_quota(&key, quota)
    }

    /// Records the GPU resource that a device class serves. Pass `None` if the class is gone or
    /// serves none. Returns whether anything changed.
    pub fn put_device_class(&mut self, name: &str, resource: Option<GpuResource>) -> bool {
        self.inventory.put_device_class(name, resource)
    }

    /// Adds, replaces or removes a pod. Pass `None` if the pod neither holds a GPU nor waits for
    /// one. Returns whether anything changed.
    pub fn put_pod(&mut self, key: &str, record: Option<PodRecord>) -> bool {
        if self.inventory.pod(key).map(|pod| &pod.record) == record.as_ref() {
            return false;
        }
        let pod = record.map(|record| {
            let guarantees = self.guarantees_of(&record);
            Arc::new(PodEntry { record, guarantees })
        });
        self.replace_pod(key, pod.as_ref());
        true
    }

    fn replace_pod(&mut self, key: &str, pod: Option<&Arc<PodEntry>>) {
        let before = self.inventory.put_pod(key, pod.cloned());
        if let Some((node, before)) = before.as_ref().and_then(|pod| Some((pod.node()?, pod))) {
            let on_node = self.pods_by_node.entry(node.into()).or_default();
            on_node.usage.subtract(&before.request());
            on_node.pods.remove(key);
            // If the pod stays on its node, the node is updated once, below.
            if pod.and_then(|pod| pod.node()) != Some(node) {
                self.update_node(node);
            }
        }
        if let Some((node, pod)) = pod.and_then(|pod| Some((pod.node()?, pod))) {
            let on_node = self.pods_by_node.entry(node.into()).or_default();
            on_node.usage.add(&pod.request());
            on_node.pods.insert(key.into(), Arc::clone(pod));
            self.update_node(node);
        }
        self.is_demand_stale = true;
    }

    /// Copies the pods on a node to the inventory.
    fn update_node(&mut self, name: &str) {
        let on_node = &self.pods_by_node[name];
        if let Some(known) = self.inventory.node(name) {
            let updated = NodeEntry {
                usage: on_node.usage.clone(),
                pods: on_node.pods.values().cloned().collect(),
                ..known.clone()
            };
            self.inventory.put_node(updated);
        }
        if self.pods_by_node[name].pods.is_empty() {
            self.pods_by_node.remove(name);
        }
    }

    fn guarantees_of(&mut self, record: &PodRecord) -> Arc<Guarantees> {
        let namespace = self.inventory.namespace(&record.namespace);
        let guarantees = Guarantees::for_pod(&self.policies, &record.namespace, namespace, &record.summary.labels);
        self.guarantees.intern(guarantees)
    }

    fn refresh_namespace(&mut self, name: &str) {
        let pods = self.inventory.pods_in_namespace(name);
        let keys: Vec<Arc<str>> = pods.map(|(key, _)| Arc::clone(key)).collect();
        self.refresh_guarantees(&keys);
    }

    /// Determines the guarantees of pods again.
    fn refresh_guarantees(&mut self, keys: &[Arc<str>]) {
        for key in keys {
            let Some(pod) = self.inventory.pod(key).cloned() else {
                continue;
            };
            let guarantees = self.guarantees_of(&pod.record);
            if guarantees != pod.guarantees {
                let record = pod.record.clone();
                self.replace_pod(key, Some(&Arc::new(PodEntry { record, guarantees })));
            }
        }
    }

    /// The inventory under these policies, for callers without further events.
    pub fn into_inventory(mut self, policies: &PolicySet) -> Inventory {
        self.set_policies(Arc::new(policies.clone()));
        self.refresh_pending_demand();
        self.inventory
    }

    /// The pod with this `namespace/name`.
    pub fn pod(&self, key: &str) -> Option<&PodRecord> {
        self.inventory.pod(key).map(|pod| &pod.record)
    }

    /// Every pod with GPUs, in the order of `namespace/name`.
    pub fn pods(&self) -> impl Iterator<Item = (&str, &PodRecord)> {
        self.inventory.pods().map(|(key, pod)| (key, &pod.record))
    }

    /// Computes what unscheduled pods request, if it may have changed. Returns whether it was
    /// computed.
    ///
    /// Only pods that some node could hold now count, because no other pod competes for what is
    /// free now.
    pub fn refresh_pending_demand(&mut self) -> bool {
        if !std::mem::take(&mut self.is_demand_stale) {
            return false;
        }
        // Each check visits the nodes. The pods of a Job are alike, so each kind of pod is checked
        // once.
        let mut pods_by_kind: HashMap<PendingPodKind<'_>, u64> = HashMap::new();
        let unscheduled = self.inventory.pods().filter(|(_, pod)| pod.node().is_none());
        for (_, pod) in unscheduled.take(MAX_PENDING_PODS) {
            *pods_by_kind.entry(PendingPodKind::of(pod)).or_default() += 1;
        }
        let mut pending_demand: BTreeMap<OfferClass, u64> = BTreeMap::new();
        for (kind, pods) in pods_by_kind {
            for strategy in Strategy::ALL.into_iter().filter(|strategy| self.fits(&kind, *strategy)) {
                for (resource, count) in kind.demand.iter() {
                    let sum = pending_demand.entry(OfferClass { strategy, resource }).or_default();
                    *sum = sum.saturating_add(count.saturating_mul(pods));
                }
            }
        }
        self.inventory.set_pending_demand(&pending_demand);
        true
    }

    /// Whether some node could hold such a pod now, under any rule with this strategy.
    fn fits(&self, kind: &PendingPodKind<'_>, strategy: Strategy) -> bool {
        let Some((resource, _)) = kind.demand.iter().next() else {
            return false;
        };
        let rule = SharingRule::any(strategy);
        let request = kind.request();
        self.inventory
            .pool(OfferClass { strategy, resource })
            .is_some_and(|pool| {
                pool.nodes
                    .values()
                    .any(|node| node.check_fit(&request, [&rule]).is_ok() && node.is_reachable(kind.scheduling))
            })
    }
}

/// What unscheduled pods must share to be interchangeable for pending demand.
#[derive(PartialEq, Eq, Hash)]
struct PendingPodKind<'p> {
    scheduling: &'p SchedulingConstraints<'static>,
    demand: &'p Counts,
    guarantees: &'p Arc<Guarantees>,
}

impl<'p> PendingPodKind<'p> {
    fn of(pod: &'p PodEntry) -> Self {
        PendingPodKind {
            scheduling: &pod.record.summary.scheduling,
            demand: &pod.record.demand,
            guarantees: &pod.guarantees,
        }
    }

    /// Without declared memory, which concerns the pod and its node alone.
    fn request(&self) -> PodRequestRef<'p> {
        PodRequestRef {
            demand: self.demand,
            memory: None,
            guarantees: self.guarantees,
        }
    }
}

/// Values that a cluster has few of, each kept once. Equal values from the same set share an
/// address, so comparing addresses is enough.
#[derive(Clone, Debug)]
struct Interned<T>(HashSet<Arc<T>>);

/// From this size on, values that are no longer used are removed each time the size reaches a power
/// of two.
const SWEEP_THRESHOLD: usize = 1024;

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Interned(HashSet::default())
    }
}

impl<T: Eq + Hash> Interned<T> {
    fn intern(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        if let Some(known) = self.0.get(&value) {
            return Arc::clone(known);
        }
        if self.0.len() >= SWEEP_THRESHOLD && self.0.len().is_power_of_two() {
            self.0.retain(|known| Arc::strong_count(known) > 1);
        }
        self.0.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Naming, Node, Pod, Policy};
    use proptest::prelude::*;
    use proptest::sample::select;
    use proptest::strategy::Strategy;

    use super::*;
    use crate::policy::MemoryLimit;
    use crate::policy::parse::parse;

    /// The GPUs of a node: strategy label, whether the resource is renamed, GPUs, replicas.
    type NodeShape = (&'static str, bool, u64, u64);

    fn node(name: &str, (strategy, renamed, gpus, replicas): NodeShape) -> NodeEntry {
        let node = match (strategy, renamed) {
            ("none", _) => Node::whole("Tesla-T4", gpus, 15360),
            (_, true) => Node::shared("Tesla-T4", (gpus, replicas), 15360, strategy, Naming::Renamed),
            (_, false) => Node::shared("Tesla-T4", (gpus, replicas), 15360, strategy, Naming::Same),
        };
        NodeEntry::new(serde_json::from_str(&node.named(name).to_string()).unwrap())
    }

    /// A pod: resource, count, declared memory, node.
    type PodShape = (&'static str, u64, Option<&'static str>, Option<&'static str>);

    fn pod(key: &str, (resource, count, memory, on): PodShape) -> PodRecord {
        let (namespace, name) = key.split_once('/').unwrap();
        let container = Container::new("c").limit(&format!("nvidia.com/{resource}"), count);
        let mut pod = Pod::new(name).namespace(namespace).container(container);
        if let Some(memory) = memory {
            pod = pod.gpu_memory(memory);
        }
        if let Some(node) = on {
            pod = pod.on_node(node);
        }
        PodRecord::from_pod(&serde_json::from_str(&pod.to_string()).unwrap()).unwrap()
    }

    /// Two policies, selected by the namespace label `policy`. The limits of `strict` differ
    /// between versions; `loose` limits memory alone.
    fn policy_version(version: u32) -> Arc<PolicySet> {
        let policy = |name: &str| {
            let strict = name == "strict";
            let shares = if strict && version > 0 {
                format!("sharesPerGPU: {version}, ")
            } else {
                String::new()
            };
            let memory = MemoryLimit::ALL[version as usize % 3];
            let undeclared = if strict && memory != MemoryLimit::Unchecked {
                "undeclaredMemory: 1000Mi, "
            } else {
                ""
            };
            let apart = if strict && version == 2 { "Apart" } else { "Together" };
            let spec = format!(
                "{{namespaceSelector: {{matchLabels: {{policy: {name}}}}}, limits: {{{shares}memory: {}, {undeclared}tenants: {apart}, tenantLabel: team}}, strategies: [{{strategy: time-slicing}}]}}",
                memory.as_str()
            );
            Policy::new(name, &spec).to_string()
        };
        let text = ["strict", "loose"].map(policy).join("---\n");
        Arc::new(PolicySet::new(parse("p.yaml", &text).unwrap()))
    }

    #[derive(Clone, Debug)]
    enum Event {
        Node(&'static str, Option<NodeShape>),
        Pod(&'static str, Option<PodShape>),
        Namespace(&'static str, Option<Vec<(&'static str, &'static str)>>),
        Policies(u32),
    }

    fn apply(ledger: &mut Ledger, event: &Event) {
        let _ = match event {
            Event::Node(name, Some(shape)) => ledger.put_node(node(name, *shape)),
            Event::Node(name, None) => ledger.remove_node(name),
            Event::Pod(key, shape) => ledger.put_pod(key, shape.map(|shape| pod(key, shape))),
            Event::Namespace(name, Some(labels)) => ledger.put_namespace(name, labels.iter().copied().collect()),
            Event::Namespace(name, None) => ledger.remove_namespace(name),
            Event::Policies(number) => {
                ledger.set_policies(policy_version(*number));
                true
            }
        };
    }

    /// The object that an event is about. Only the last event of an object counts.
    fn subject(event: &Event) -> (u8, &'static str) {
        match event {
            Event::Node(name, _) => (0, name),
            Event::Pod(key, _) => (1, key),
            Event::Namespace(name, _) => (2, name),
            Event::Policies(_) => (3, ""),
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        let name = || select(vec!["a", "b", "c"]);
        let node_shape = (
            select(vec!["none", "time-slicing", "mps"]),
            any::<bool>(),
            1u64..5,
            2u64..5,
        );
        let node_shape = node_shape.prop_map(|(strategy, renamed, gpus, replicas)| {
            let replicas = if strategy == "none" { 1 } else { replicas };
            (strategy, renamed, gpus, replicas)
        });
        let pod_shape = (
            select(vec!["gpu", "gpu.shared", "gpu.shared", "mig-1g.10gb"]),
            1u64..4,
            prop::option::of(select(vec!["1Gi", "4Gi", "8Gi"])),
            prop::option::of(name()),
        );
        let key = select(vec!["m/p", "m/q", "n/p", "n/q", "n/r", "nn/p"]);
        let team = prop::option::of(select(vec![("team", "x"), ("team", "y")]));
        let policy = prop::option::of(select(vec![("policy", "strict"), ("policy", "loose")]));
        let labels = (team, policy).prop_map(|(team, policy)| team.into_iter().chain(policy).collect());
        prop_oneof![
            3 => (name(), prop::option::weighted(0.8, node_shape)).prop_map(|(name, shape)| Event::Node(name, shape)),
            6 => (key, prop::option::weighted(0.8, pod_shape)).prop_map(|(key, shape)| Event::Pod(key, shape)),
            3 => (select(vec!["m", "n", "nn"]), prop::option::weighted(0.8, labels))
                .prop_map(|(name, labels)| Event::Namespace(name, labels)),
            1 => (0u32..4).prop_map(Event::Policies),
        ]
    }

    fn check_equal(incremental: &Inventory, rebuilt: &Inventory) -> Result<(), TestCaseError> {
        prop_assert!(
            incremental.nodes().eq(rebuilt.nodes()),
            "{:?}\n{:?}",
            incremental.nodes().collect::<Vec<_>>(),
            rebuilt.nodes().collect::<Vec<_>>()
        );
        prop_assert!(incremental.pods().eq(rebuilt.pods()));
        prop_assert!(incremental.namespaces().eq(rebuilt.namespaces()));
        prop_assert!(incremental.classes().eq(rebuilt.classes()));
        for class in rebuilt.classes() {
            prop_assert_eq!(incremental.pending_demand(class), rebuilt.pending_demand(class));
            let (old, new) = (incremental.pool(class).unwrap(), rebuilt.pool(class).unwrap());
            prop_assert!(old.nodes.iter().eq(new.nodes.iter()));
            prop_assert_eq!(incremental.variants(class).count(), rebuilt.variants(class).count());
        }
        Ok(())
    }

    /// The usage of each node is the sum over its pods.
    fn check_usage(inventory: &Inventory) -> Result<(), TestCaseError> {
        for node in inventory.nodes() {
            let mut usage = NodeUsage::default();
            let there: Vec<&Arc<PodEntry>> = inventory
                .pods()
                .map(|(_, pod)| pod)
                .filter(|pod| pod.node() == Some(&node.name))
                .collect();
            for pod in &there {
                usage.add(&pod.request());
            }
            prop_assert_eq!(&node.usage, &usage);
            prop_assert!(node.pods.iter().eq(there), "{}", node.name);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_inventory_depends_on_the_final_objects_and_not_on_the_history(events in prop::collection::vec(event(), 0..60), rotation in any::<prop::sample::Index>()) {
            let mut incremental = Ledger::default();
            for event in &events {
                apply(&mut incremental, event);
            }
            incremental.refresh_pending_demand();
            check_usage(incremental.inventory())?;
            let last: BTreeMap<_, _> = events.iter().map(|event| (subject(event), event)).collect();
            let mut order: Vec<&Event> = last.into_values().collect();
            let mid = if order.is_empty() { 0 } else { rotation.index(order.len()) };
            order.rotate_left(mid);
            for _ in 0..2 {
                let mut rebuilt = Ledger::default();
                for event in &order {
                    apply(&mut rebuilt, event);
                }
                rebuilt.refresh_pending_demand();
                check_equal(incremental.inventory(), rebuilt.inventory())?;
                order.reverse();
            }
        }
    }

    #[test]
    fn equal_values_are_interned_once_while_they_are_in_use() {
        let mut all: Interned<String> = Interned::default();
        let first = all.intern("a".to_owned());
        assert!(Arc::ptr_eq(&first, &all.intern("a".to_owned())));
        assert!(!Arc::ptr_eq(&first, &all.intern("b".to_owned())));
        for number in 0..=2 * SWEEP_THRESHOLD {
            all.intern(number.to_string());
        }
        assert!(all.0.len() <= SWEEP_THRESHOLD + 2, "{}", all.0.len());
        assert!(Arc::ptr_eq(&first, &all.intern("a".to_owned())));
    }
}
