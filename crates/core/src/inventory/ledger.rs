//! Who holds what: the one writer's view, from which the inventory that readers see is kept up.
//!
//! Events may come in any order - a pod before its node, twice, or again after a relist - and lead to the same inventory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::interned::Interned;
use super::inventory::Inventory;
use super::node::NodeEntry;
use super::node_usage::{NodeUsage, PodRequestRef};
use super::offer::{NodeOffers, OfferClass};
use super::pod::PodEntry;
use super::quota::NamespaceQuota;
use super::record::PodRecord;
use super::scheduling_constraints::SchedulingConstraints;
use crate::gpu::{GpuResource, Strategy};
use crate::k8s::text::Labels;
use crate::policy::{Guarantees, PolicySet, SharingRule};

/// Waiting pods beyond so many are not looked at one by one: what they await is a hint, and looking takes time.
const MOST_WAITING: usize = 2000;

/// All pods with GPUs, and the inventory that follows from them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    inventory: Inventory,
    /// The pods on each node, also of nodes that are not known (yet).
    tenancies: HashMap<Arc<str>, Tenancy>,
    /// The policies that govern pods.
    policies: Arc<PolicySet>,
    /// All terms that some pod is on.
    terms: Interned<Guarantees>,
    /// What all kinds of nodes offer: readers find out once for each what suits a pod.
    offers: Interned<NodeOffers>,
    /// Whether what is awaited may have changed.
    stale: bool,
}

/// The pods on one node.
#[derive(Clone, Debug, Default)]
struct Tenancy {
    held: NodeUsage,
    /// By `namespace/name`.
    pods: BTreeMap<Arc<str>, Arc<PodEntry>>,
}

impl Ledger {
    /// The inventory as of the last event, but for what is awaited: see [`Ledger::refresh_awaited`].
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Replaces the policies. Looks at every pod.
    pub fn set_policies(&mut self, policies: Arc<PolicySet>) {
        self.policies = policies;
        let all: Vec<Arc<str>> = self.inventory.pods().map(|(key, _)| key.into()).collect();
        self.review(&all);
    }

    /// A node is there, or has changed. Returns whether anything that we read of it has.
    pub fn put_node(&mut self, mut node: NodeEntry) -> bool {
        if let Some(tenancy) = self.tenancies.get(&node.name) {
            node.held = tenancy.held.clone();
            node.pods = tenancy.pods.values().cloned().collect();
        }
        // The kubelet writes its node's status every few minutes, mostly to say that nothing changed.
        if self.inventory.node(&node.name) == Some(&node) {
            return false;
        }
        node.offers = self.offers.share(node.offers);
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
        self.review_namespace(name);
        true
    }

    /// A namespace is gone. Returns whether it was known.
    pub fn remove_namespace(&mut self, name: &str) -> bool {
        let known = self.inventory.remove_namespace(name);
        self.review_namespace(name);
        known
    }

    /// A quota (its kind's plural and its `namespace/name`) is there, has changed or is gone; or a limit range. `None` when it says
    /// nothing of GPUs. Returns whether that changes anything.
    pub fn put_quota(&mut self, plural: &str, key: &str, quota: Option<NamespaceQuota>) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let key = format!("{namespace}/{plural}/{name}");
        self.inventory.put_quota(&key, quota)
    }

    /// A device class serves this GPU resource; `None` when it serves none, or is gone. Returns whether that changes anything.
    pub fn put_device_class(&mut self, name: &str, resource: Option<GpuResource>) -> bool {
        self.inventory.put_device_class(name, resource)
    }

    /// A pod is there, or has changed; `None` when it neither holds a GPU nor waits for one (any more). Returns whether that changes
    /// anything.
    pub fn put_pod(&mut self, key: &str, record: Option<PodRecord>) -> bool {
        if self.inventory.pod(key).map(|pod| &pod.record) == record.as_ref() {
            return false;
        }
        let pod = record.map(|record| {
            let terms = self.guarantees_of(&record);
            Arc::new(PodEntry { record, terms })
        });
        self.replace(key, pod.as_ref());
        true
    }

    fn replace(&mut self, key: &str, pod: Option<&Arc<PodEntry>>) {
        let before = self.inventory.put_pod(key, pod.cloned());
        if let Some((node, before)) = before.as_ref().and_then(|pod| Some((pod.node()?, pod))) {
            let tenancy = self.tenancies.entry(node.into()).or_default();
            tenancy.held.subtract(&before.request());
            tenancy.pods.remove(key);
            // A pod seldom moves; where it only changed, the node is written once.
            if pod.and_then(|pod| pod.node()) != Some(node) {
                self.tell(node);
            }
        }
        if let Some((node, pod)) = pod.and_then(|pod| Some((pod.node()?, pod))) {
            let tenancy = self.tenancies.entry(node.into()).or_default();
            tenancy.held.add(&pod.request());
            tenancy.pods.insert(key.into(), Arc::clone(pod));
            self.tell(node);
        }
        self.stale = true;
    }

    /// Lets the inventory know who is on a node.
    fn tell(&mut self, name: &str) {
        let tenancy = &self.tenancies[name];
        if let Some(known) = self.inventory.node(name) {
            let changed = NodeEntry {
                held: tenancy.held.clone(),
                pods: tenancy.pods.values().cloned().collect(),
                ..known.clone()
            };
            self.inventory.put_node(changed);
        }
        if self.tenancies[name].pods.is_empty() {
            self.tenancies.remove(name);
        }
    }

    fn guarantees_of(&mut self, record: &PodRecord) -> Arc<Guarantees> {
        let namespace = self.inventory.namespace(&record.namespace);
        let terms = Guarantees::from_set(&self.policies, &record.namespace, namespace, &record.summary.labels);
        self.terms.share(terms)
    }

    fn review_namespace(&mut self, name: &str) {
        let keys: Vec<Arc<str>> = self.inventory.pods_of(name).map(|(key, _)| Arc::clone(key)).collect();
        self.review(&keys);
    }

    /// Finds out anew on what terms pods are.
    fn review(&mut self, keys: &[Arc<str>]) {
        for key in keys {
            let Some(pod) = self.inventory.pod(key).cloned() else {
                continue;
            };
            let terms = self.guarantees_of(&pod.record);
            if terms != pod.terms {
                let record = pod.record.clone();
                self.replace(key, Some(&Arc::new(PodEntry { record, terms })));
            }
        }
    }

    /// The inventory under these policies, for a caller that has no further events.
    pub fn into_inventory(mut self, policies: &PolicySet) -> Inventory {
        self.set_policies(Arc::new(policies.clone()));
        self.refresh_awaited();
        self.inventory
    }

    /// The pod with that `namespace/name`.
    pub fn pod(&self, key: &str) -> Option<&PodRecord> {
        self.inventory.pod(key).map(|pod| &pod.record)
    }

    /// Every pod that is known, by `namespace/name`.
    pub fn pods(&self) -> impl Iterator<Item = (&str, &PodRecord)> {
        self.inventory.pods().map(|(key, pod)| (key, &pod.record))
    }

    /// Finds out anew what waiting pods await, if that may have changed.
    ///
    /// A pod that nothing can hold now competes with nobody for what is free now, so only those that some node could take count.
    /// Returns whether it was found out.
    pub fn refresh_awaited(&mut self) -> bool {
        if !std::mem::take(&mut self.stale) {
            return false;
        }
        // The pods of a Job are alike, and each look goes over the nodes: so each sort of pod is looked at once.
        let mut variants: HashMap<_, u64> = HashMap::new();
        let waiting = self.inventory.pods().filter(|(_, pod)| pod.node().is_none());
        for (_, pod) in waiting.take(MOST_WAITING) {
            let sort = (&pod.record.summary.scheduling, &pod.record.demand, &pod.terms);
            *variants.entry(sort).or_default() += 1;
        }
        let mut awaited: BTreeMap<OfferClass, u64> = BTreeMap::new();
        for ((scheduling, demand, terms), pods) in variants {
            // What each share must have is between the pod and its node.
            let request = PodRequestRef {
                demand,
                memory: None,
                terms,
            };
            for strategy in Strategy::ALL
                .into_iter()
                .filter(|strategy| self.fits(scheduling, &request, *strategy))
            {
                for (resource, count) in demand.iter() {
                    let sum = awaited.entry(OfferClass { strategy, resource }).or_default();
                    *sum = sum.saturating_add(count.saturating_mul(pods));
                }
            }
        }
        self.inventory.set_awaited(&awaited);
        true
    }

    fn fits(&self, scheduling: &SchedulingConstraints<'_>, request: &PodRequestRef<'_>, strategy: Strategy) -> bool {
        let Some((resource, _)) = request.demand.iter().next() else {
            return false;
        };
        let rule = SharingRule::any(strategy);
        self.inventory
            .stock(OfferClass { strategy, resource })
            .is_some_and(|stock| {
                stock
                    .nodes
                    .values()
                    .any(|node| node.hold(request, [&rule]).is_ok() && node.is_reachable(scheduling))
            })
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;
    use proptest::sample::select;
    use proptest::strategy::Strategy;

    use super::*;
    use crate::policy::MemoryLimit;
    use crate::policy::parse::parse;

    /// How a node's GPUs are shared: the strategy's label, whether under a name of its own, GPUs, replicas.
    type Cut = (&'static str, bool, u64, u64);

    fn node(name: &str, (strategy, renamed, gpus, replicas): Cut) -> NodeEntry {
        let (suffix, resource) = match (strategy, renamed) {
            ("none", _) => ("", "gpu"),
            (_, true) => ("", "gpu.shared"),
            (_, false) => ("-SHARED", "gpu"),
        };
        let shares = gpus * replicas;
        let json = format!(
            r#"{{"metadata":{{"name":"{name}","labels":{{"nvidia.com/gpu.product":"Tesla-T4{suffix}","nvidia.com/gpu.count":"8","nvidia.com/gpu.memory":"15360","nvidia.com/gpu.replicas":"{replicas}","nvidia.com/gpu.sharing-strategy":"{strategy}"}}}},"status":{{"allocatable":{{"nvidia.com/{resource}":"{shares}"}}}}}}"#
        );
        NodeEntry::of(serde_json::from_str(&json).unwrap())
    }

    /// A pod: resource, count, declared memory, node.
    type Wants = (&'static str, u64, Option<&'static str>, Option<&'static str>);

    fn pod(key: &str, (resource, count, memory, on): Wants) -> PodRecord {
        let (namespace, name) = key.split_once('/').unwrap();
        let on = on.map(|node| format!(r#","nodeName":"{node}""#)).unwrap_or_default();
        let memory = memory.map(|memory| format!(r#","annotations":{{"apportion.dev/gpu-memory":"{memory}"}}"#));
        let memory = memory.unwrap_or_default();
        let json = format!(
            r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}"{memory}}},"spec":{{"containers":[{{"resources":{{"limits":{{"nvidia.com/{resource}":{count}}}}}}}]{on}}}}}"#
        );
        PodRecord::of(&serde_json::from_str(&json).unwrap()).unwrap()
    }

    /// Policies for the label `policy` of namespaces: `strict` limits what each version limits differently, `loose` nothing but memory.
    fn version(version: u32) -> Arc<PolicySet> {
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
            format!(
                "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec:\n  namespaceSelector: {{matchLabels: {{policy: {name}}}}}\n  limits: {{{shares}memory: {}, {undeclared}tenants: {apart}, tenantLabel: team}}\n  strategies: [{{strategy: time-slicing}}]\n",
                memory.as_str()
            )
        };
        let text = ["strict", "loose"].map(policy).join("---\n");
        Arc::new(PolicySet::new(parse("p.yaml", &text).unwrap()))
    }

    #[derive(Clone, Debug)]
    enum Event {
        Node(&'static str, Option<Cut>),
        Pod(&'static str, Option<Wants>),
        Namespace(&'static str, Option<Vec<(&'static str, &'static str)>>),
        Policies(u32),
    }

    fn apply(ledger: &mut Ledger, event: &Event) {
        let _ = match event {
            Event::Node(name, Some(cut)) => ledger.put_node(node(name, *cut)),
            Event::Node(name, None) => ledger.remove_node(name),
            Event::Pod(key, wants) => ledger.put_pod(key, wants.map(|wants| pod(key, wants))),
            Event::Namespace(name, Some(labels)) => ledger.put_namespace(name, labels.iter().copied().collect()),
            Event::Namespace(name, None) => ledger.remove_namespace(name),
            Event::Policies(number) => {
                ledger.set_policies(version(*number));
                true
            }
        };
    }

    /// What an event speaks of: only the last one of each counts.
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
        let cut = (
            select(vec!["none", "time-slicing", "mps"]),
            any::<bool>(),
            1u64..5,
            2u64..5,
        );
        let cut = cut.prop_map(|(strategy, renamed, gpus, replicas)| {
            let replicas = if strategy == "none" { 1 } else { replicas };
            (strategy, renamed, gpus, replicas)
        });
        let wants = (
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
            3 => (name(), prop::option::weighted(0.8, cut)).prop_map(|(name, cut)| Event::Node(name, cut)),
            6 => (key, prop::option::weighted(0.8, wants)).prop_map(|(key, wants)| Event::Pod(key, wants)),
            3 => (select(vec!["m", "n", "nn"]), prop::option::weighted(0.8, labels))
                .prop_map(|(name, labels)| Event::Namespace(name, labels)),
            1 => (0u32..4).prop_map(Event::Policies),
        ]
    }

    fn same(lived: &Inventory, fresh: &Inventory) -> Result<(), TestCaseError> {
        prop_assert!(
            lived.nodes().eq(fresh.nodes()),
            "{:?}\n{:?}",
            lived.nodes().collect::<Vec<_>>(),
            fresh.nodes().collect::<Vec<_>>()
        );
        prop_assert!(lived.pods().eq(fresh.pods()));
        prop_assert!(lived.namespaces().eq(fresh.namespaces()));
        prop_assert!(lived.classes().eq(fresh.classes()));
        for class in fresh.classes() {
            prop_assert_eq!(lived.awaited(class), fresh.awaited(class));
            let (old, new) = (lived.stock(class).unwrap(), fresh.stock(class).unwrap());
            prop_assert!(old.nodes.iter().eq(new.nodes.iter()));
            prop_assert_eq!(lived.variants(class).count(), fresh.variants(class).count());
        }
        Ok(())
    }

    /// What a node holds is what its pods hold, added up anew.
    fn adds_up(inventory: &Inventory) -> Result<(), TestCaseError> {
        for node in inventory.nodes() {
            let mut held = NodeUsage::default();
            let there: Vec<&Arc<PodEntry>> = inventory
                .pods()
                .map(|(_, pod)| pod)
                .filter(|pod| pod.node() == Some(&node.name))
                .collect();
            for pod in &there {
                held.add(&pod.request());
            }
            prop_assert_eq!(&node.held, &held);
            prop_assert!(node.pods.iter().eq(there), "{}", node.name);
        }
        Ok(())
    }

    proptest! {
        /// Whatever happened on the way, what is known now is all that counts.
        #[test]
        fn any_history_leads_to_what_its_end_alone_leads_to(events in prop::collection::vec(event(), 0..60), turn in any::<prop::sample::Index>()) {
            let mut lived = Ledger::default();
            for event in &events {
                apply(&mut lived, event);
            }
            lived.refresh_awaited();
            adds_up(lived.inventory())?;
            let last: BTreeMap<_, _> = events.iter().map(|event| (subject(event), event)).collect();
            let mut order: Vec<&Event> = last.into_values().collect();
            let mid = if order.is_empty() { 0 } else { turn.index(order.len()) };
            order.rotate_left(mid);
            for _ in 0..2 {
                let mut fresh = Ledger::default();
                for event in &order {
                    apply(&mut fresh, event);
                }
                fresh.refresh_awaited();
                same(lived.inventory(), fresh.inventory())?;
                order.reverse();
            }
        }
    }
}
