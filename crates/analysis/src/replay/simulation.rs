//! The simulation: pods that may stay are put back first, then the others are recreated one by one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::changes::{Changes, PodChange};
use super::original_pod;
use super::report::{ChangeKind, Report, Share};
use crate::dry_run::{DryRun, DryRunError};
use apportion_core::decision::find_violation;
use apportion_core::extender::prioritize::node_score;
use apportion_core::extender::{ExtenderContext, PodQuery};
use apportion_core::gpu::{GpuResource, Strategy};
use apportion_core::inventory::PodPlacement;
use apportion_core::inventory::dump::{self, DumpError};
use apportion_core::inventory::{
    Inventory, Ledger, NodeEntry, NodeUsage, PodEntry, PodRecord, PodRequest, Reserved, SchedulingConstraints,
    UnfitReason,
};
use apportion_core::policy::OnUnknown;
use apportion_core::policy::{Governed, Mode, Policy, PolicyName, PolicySet};

/// Why a cluster dump cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Dump(#[from] DumpError),
    #[error("pod {0} is not in the list")]
    PodNotListed(String),
    #[error(transparent)]
    Pod(serde_json::Error),
    #[error("{pod}")]
    DryRun { pod: String, source: DryRunError },
}

/// Replays a cluster dump in JSON under the policies `new`. `old` are the present policies, if
/// known.
pub fn replay(dump: &str, old: Option<&PolicySet>, new: &PolicySet) -> Result<Report, ReplayError> {
    let (full, documents) = dump::read_with_pods(dump)?;
    let cluster = full.inventory().clone();
    let mut ledger = without_pods(&cluster);
    ledger.set_policies(Arc::new(new.clone()));
    let mut simulation = Simulation {
        old,
        new,
        cluster: &cluster,
        nodes_by_resource: nodes_by_resource(&cluster),
        ledger,
        reserved: Reserved::default(),
        pods: 0,
        unchanged: 0,
        changes: Changes::default(),
        unplaceable: HashSet::new(),
    };
    let mut recreated: Vec<(&str, &Arc<PodEntry>, RecreateReason)> = Vec::new();
    let mut staying: Vec<(&str, &Arc<PodEntry>)> = Vec::new();
    for (key, pod) in cluster.pods() {
        if pod.record.terminating {
            simulation.ledger.put_pod(key, Some(pod.record.clone()));
            continue;
        }
        simulation.pods += 1;
        if simulation.may_stay(pod) {
            staying.push((key, pod));
        } else {
            recreated.push((key, pod, RecreateReason::Policy));
        }
    }
    for (key, pod) in staying {
        if simulation.keep_on_node(key, pod) {
            simulation.unchanged += 1;
        } else {
            recreated.push((key, pod, RecreateReason::Limits));
        }
    }
    recreated.sort_by_key(|(key, pod, _)| (std::cmp::Reverse(pod.record.priority), *key));
    for (key, pod, reason) in recreated {
        let document = documents
            .get(key)
            .ok_or_else(|| ReplayError::PodNotListed(key.to_owned()))?;
        let document = original_pod::read(document).map_err(ReplayError::Pod)?;
        simulation
            .recreate(key, pod, document, reason)
            .map_err(|source| ReplayError::DryRun {
                pod: key.to_owned(),
                source,
            })?;
    }
    Ok(simulation.into_report())
}

fn without_pods(cluster: &Inventory) -> Ledger {
    let mut ledger = Ledger::default();
    for node in cluster.nodes() {
        ledger.put_node(node.clone());
    }
    for (name, labels) in cluster.namespaces() {
        ledger.put_namespace(name, labels.clone());
    }
    // The entry of a node holds its pods. Those that stay are put back one by one.
    for node in cluster.nodes() {
        ledger.put_node(NodeEntry {
            usage: NodeUsage::default(),
            pods: Vec::new(),
            ..node.clone()
        });
    }
    ledger
}

/// The nodes that offer each resource, so that a pod is checked against these only.
fn nodes_by_resource(cluster: &Inventory) -> HashMap<GpuResource, Vec<Arc<str>>> {
    let mut found: HashMap<GpuResource, Vec<Arc<str>>> = HashMap::new();
    for node in cluster.nodes() {
        for offer in &node.offers.offers {
            found.entry(offer.resource).or_default().push(Arc::clone(&node.name));
        }
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecreateReason {
    /// The pod's policy changed, or the pod violates it.
    Policy,
    /// The pod would get the same, but the limits of the new policies leave no room on its node.
    Limits,
}

struct Simulation<'s> {
    old: Option<&'s PolicySet>,
    new: &'s PolicySet,
    /// The cluster before the change.
    cluster: &'s Inventory,
    nodes_by_resource: HashMap<GpuResource, Vec<Arc<str>>>,
    /// The cluster after the change, as far as it has been simulated.
    ledger: Ledger,
    reserved: Reserved,
    pods: usize,
    unchanged: usize,
    changes: Changes,
    /// Pods for which there is no node. Nodes only fill up, so other pods with the same key find
    /// none either.
    unplaceable: HashSet<PlacementKey>,
}

/// Everything about a pod that its placement depends on.
#[derive(PartialEq, Eq, Hash)]
struct PlacementKey {
    scheduling: SchedulingConstraints<'static>,
    request: PodRequest,
    /// Its rules matter.
    policy: Option<PolicyName>,
}

impl Simulation<'_> {
    /// Whether a pod keeps what it has: no policy governs it, or its policy is the same as before
    /// and the pod complies.
    fn may_stay(&self, pod: &PodEntry) -> bool {
        let (namespace, labels) = (&pod.record.namespace, &pod.record.summary.labels);
        let old = self.old.map(|old| self.cluster.governing(old, namespace, labels));
        match (self.cluster.governing(self.new, namespace, labels), old) {
            (Governed::By(new), None) => find_violation(&pod.record.summary, new).is_none(),
            (Governed::By(new), Some(Governed::By(old))) => have_same_effect(old, new) || new.mode != Mode::Enforce,
            (Governed::By(new), Some(_)) => new.mode != Mode::Enforce,
            // A pod keeps what a policy gave it after the policy is gone.
            (Governed::ByNone, _) => true,
            (Governed::ByUnknownPolicy(_) | Governed::ByUnknownNamespace, old) => {
                matches!(old, Some(Governed::ByUnknownPolicy(_) | Governed::ByUnknownNamespace))
            }
        }
    }

    fn context(&self) -> ExtenderContext<'_> {
        ExtenderContext {
            policies: self.new,
            inventory: self.ledger.inventory(),
            reserved: &self.reserved,
            on_unknown: OnUnknown::Admit,
        }
    }

    /// Puts a pod back on its node, unless the limits of the new policies forbid it.
    fn keep_on_node(&mut self, key: &str, pod: &PodEntry) -> bool {
        let node = pod.node().and_then(|node| self.ledger.inventory().node(node));
        let unfit_reason = node.and_then(|node| {
            PodQuery::of_record(&pod.record, &self.context())
                .check(Some(node))
                .err()
        });
        // A node that offers less than before, or no longer says what it offers, is not the
        // policies' fault.
        let is_over_limits = unfit_reason.is_some_and(|unfit_reason| {
            unfit_reason.eviction_helps() && !matches!(unfit_reason, UnfitReason::Taken { .. })
        });
        if !is_over_limits {
            self.ledger.put_pod(key, Some(pod.record.clone()));
        }
        !is_over_limits
    }

    /// Admits a pod again, and places it if it is admitted.
    fn recreate(
        &mut self,
        key: &str,
        pod: &PodEntry,
        mut document: Value,
        reason: RecreateReason,
    ) -> Result<(), DryRunError> {
        let restored = original_pod::restore(&mut document);
        let namespace = &*pod.record.namespace;
        let dry_run = DryRun::of(&document, namespace, self.new, self.ledger.inventory())?;
        let record = dry_run.record()?;
        let from = Share {
            strategy: self.strategy_on(pod.node(), &pod.record),
            resources: counts(&pod.record),
        };
        let same_under_old = match self.old {
            Some(old) if reason == RecreateReason::Policy => {
                let under_old = DryRun::of(&document, namespace, old, self.ledger.inventory())?;
                Some(have_same_result(&under_old, &dry_run, record.as_ref())?)
            }
            _ => None,
        };
        if dry_run.denied {
            let change = PodChange {
                kind: ChangeKind::Denied,
                from,
                to: None,
                same_under_old,
                restored,
                without_place: false,
            };
            self.changes.add(pod, &dry_run, change);
            return Ok(());
        }
        let Some(record) = record else {
            self.unchanged += 1;
            return Ok(());
        };
        let node = self.find_node(&record, pod.node());
        let to = Share {
            strategy: self.strategy_on(node.as_deref(), &record).or(dry_run.strategy),
            resources: counts(&record),
        };
        let gets_same = from.resources == to.resources && (from.strategy.is_none() || from.strategy == to.strategy);
        // A waiting pod that keeps waiting for the same has lost nothing.
        let is_unchanged = gets_same && (node.is_some() && node.as_deref() == pod.node() || pod.node().is_none());
        if is_unchanged {
            self.unchanged += 1;
        } else {
            let change = PodChange {
                kind: if gets_same {
                    ChangeKind::Moved
                } else {
                    ChangeKind::Changed
                },
                from,
                to: Some(to),
                // Under the old policies, the pod is where it is, so a move is always new.
                same_under_old: same_under_old.map(|same| same && !gets_same),
                restored,
                without_place: node.is_none(),
            };
            self.changes.add(pod, &dry_run, change);
        }
        let place = node.map_or(PodPlacement::Unscheduled, PodPlacement::Node);
        self.ledger.put_pod(
            key,
            Some(PodRecord {
                placement: place,
                ..record
            }),
        );
        Ok(())
    }

    /// A node for a pod: its current node if it fits there, else the best.
    fn find_node(&mut self, record: &PodRecord, current: Option<&str>) -> Option<Box<str>> {
        let query = PodQuery::of_record(record, &self.context());
        let request = query.pod_request()?;
        let policy = match &query {
            PodQuery::Enforced { policy, .. } => Some(policy.name.clone()),
            _ => None,
        };
        let key = PlacementKey {
            scheduling: record.summary.scheduling.clone(),
            request: request.clone(),
            policy,
        };
        if self.unplaceable.contains(&key) {
            return None;
        }
        let inventory = self.ledger.inventory();
        let current = current.filter(|name| inventory.node(name).is_some_and(|node| fits(node, record, &query)));
        let found = current
            .map(Box::from)
            .or_else(|| self.best_node(record, request, &query));
        if found.is_none() {
            self.unplaceable.insert(key);
        }
        found
    }

    fn best_node(&self, record: &PodRecord, request: &PodRequest, query: &PodQuery<'_>) -> Option<Box<str>> {
        let (first, _) = record.demand.iter().next()?;
        let nodes = self.nodes_by_resource.get(&first)?.iter();
        let fitting = nodes
            .filter_map(|name| self.ledger.inventory().node(name))
            .filter(|node| fits(node, record, query));
        // Of equal nodes the first wins, so that the result is deterministic.
        let mut best: Option<(f64, &NodeEntry)> = None;
        for node in fitting {
            let score = node_score(node, request);
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, node));
            }
        }
        best.map(|(_, node)| Box::from(&*node.name))
    }

    fn strategy_on(&self, node: Option<&str>, record: &PodRecord) -> Option<&'static str> {
        let node = self.cluster.node(node?)?;
        let (resource, _) = record.demand.iter().next()?;
        node.offers.get(resource).map(|offer| Strategy::as_str(offer.strategy))
    }

    fn into_report(self) -> Report {
        let (changes, missing) = self.changes.into_report_parts();
        Report {
            pods: self.pods,
            unchanged: self.unchanged,
            changes,
            missing,
        }
    }
}

/// Whether the old policies would do the same. `new_record` is the record of `new`.
fn have_same_result(old: &DryRun, new: &DryRun, new_record: Option<&PodRecord>) -> Result<bool, DryRunError> {
    if old.denied != new.denied {
        return Ok(false);
    }
    if new.denied {
        return Ok(true);
    }
    let resources = |record: Option<&PodRecord>| record.map(counts).unwrap_or_default();
    Ok(old.strategy == new.strategy && resources(old.record()?.as_ref()) == resources(new_record))
}

fn counts(record: &PodRecord) -> BTreeMap<String, u64> {
    record
        .demand
        .iter()
        .map(|(resource, count)| (resource.to_string(), count))
        .collect()
}

/// Whether a node has room for a pod now. The cheap check that most nodes fail comes first.
fn fits(node: &NodeEntry, record: &PodRecord, query: &PodQuery<'_>) -> bool {
    let has_free = |(resource, needs)| node.offers.get(resource).is_some_and(|offer| node.free(offer) >= needs);
    record.demand.iter().all(has_free)
        && node.is_reachable(&record.summary.scheduling)
        && query.check(Some(node)).is_ok()
}

/// Whether two policies treat the pods that they govern alike, whatever their names and selectors.
fn have_same_effect(old: &Policy, new: &Policy) -> bool {
    old.mode == new.mode
        && old.limits == new.limits
        && old.tenant_label == new.tenant_label
        && old.isolation == new.isolation
        && old.sharing_rules().eq(new.sharing_rules())
}
