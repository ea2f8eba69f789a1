//! The play itself: pods that may stay are put where they are, the others are made again, one after the other.
//!
//! Nothing is really moved, and no scheduler is asked: nodes are filtered and scored as the extender does it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value;

use super::report::{Change, Missing, Outcome, Report, Share, workload};
use super::restored::{self, restore};
use crate::verdict::Verdict;
use apportion_core::decision::breach;
use apportion_core::extender::pod_query::{ExtenderContext, PodQuery};
use apportion_core::extender::prioritize::worth;
use apportion_core::gpu::{GpuResource, Strategy};
use apportion_core::inventory::record::PodPlacement;
use apportion_core::inventory::{
    Inventory, Ledger, NodeEntry, PodEntry, PodRecord, PodRequest, Reserved, SchedulingConstraints, dump,
};
use apportion_core::policy::governance::OnUnknown;
use apportion_core::policy::{Governed, Policy, PolicyName, PolicySet};

/// Plays `new` against a dump, in JSON. `old` are the policies so far, where they are known.
pub fn play(text: &str, old: Option<&PolicySet>, new: &PolicySet) -> anyhow::Result<Report> {
    let (full, documents) = dump::read_with_pods(text)?;
    let cluster = full.inventory().clone();
    let mut ledger = empty_of_pods(&cluster);
    ledger.set_policies(Arc::new(new.clone()));
    let mut play = Play {
        old,
        new,
        cluster: &cluster,
        by_resource: by_resource(&cluster),
        ledger,
        reserved: Reserved::default(),
        report: Report::default(),
        changes: BTreeMap::new(),
        missing: BTreeMap::new(),
        hopeless: HashSet::new(),
    };
    let mut again: Vec<(&str, &Arc<PodEntry>, Why)> = Vec::new();
    let mut staying: Vec<(&str, &Arc<PodEntry>)> = Vec::new();
    for (key, pod) in cluster.pods() {
        if pod.record.leaving {
            play.ledger.put_pod(key, Some(pod.record.clone()));
            continue;
        }
        play.report.pods += 1;
        if play.may_stay(pod) {
            staying.push((key, pod));
        } else {
            again.push((key, pod, Why::Judged));
        }
    }
    for (key, pod) in staying {
        if play.stay(key, pod) {
            play.report.unchanged += 1;
        } else {
            again.push((key, pod, Why::Crowded));
        }
    }
    again.sort_by_key(|(key, pod, _)| (std::cmp::Reverse(pod.record.priority), *key));
    for (key, pod, why) in again {
        let document = documents
            .get(key)
            .with_context(|| format!("pod {key} is not in the list"))?;
        play.again(key, pod, restored::read(document)?, why)?;
    }
    Ok(play.end())
}

fn empty_of_pods(cluster: &Inventory) -> Ledger {
    let mut ledger = Ledger::default();
    for node in cluster.nodes() {
        ledger.put_node(node.clone());
    }
    for (name, labels) in cluster.namespaces() {
        ledger.put_namespace(name, labels.clone());
    }
    // A node brings its pods; those that stay are put back one by one.
    for node in cluster.nodes() {
        ledger.put_node(NodeEntry {
            held: apportion_core::inventory::NodeUsage::default(),
            pods: Vec::new(),
            ..node.clone()
        });
    }
    ledger
}

/// The nodes that offer a resource, so that a pod is held against these alone.
fn by_resource(cluster: &Inventory) -> HashMap<GpuResource, Vec<Arc<str>>> {
    let mut found: HashMap<GpuResource, Vec<Arc<str>>> = HashMap::new();
    for node in cluster.nodes() {
        for offer in &node.offers.offers {
            found.entry(offer.resource).or_default().push(Arc::clone(&node.name));
        }
    }
    found
}

/// Why a pod is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its policy is another, or it breaks it.
    Judged,
    /// It gets what it has, and the promises of the new policies leave no place for it where it is.
    Crowded,
}

/// What makes changes alike, besides their number. The reason counts for denials alone: of pods that get the same, one may be the last for
/// whom it was free.
type Alike = (
    String,
    String,
    Outcome,
    Option<String>,
    Share,
    Option<Share>,
    String,
    Option<bool>,
    bool,
);

struct Play<'p> {
    old: Option<&'p PolicySet>,
    new: &'p PolicySet,
    /// As it is.
    cluster: &'p Inventory,
    by_resource: HashMap<GpuResource, Vec<Arc<str>>>,
    /// As it comes to be.
    ledger: Ledger,
    reserved: Reserved,
    report: Report,
    /// Pods, those without a place, and why the first of them gets what it gets.
    changes: BTreeMap<Alike, (usize, usize, String)>,
    /// Shares and pods.
    missing: BTreeMap<(Option<&'static str>, String), (u64, usize)>,
    /// For whom there is no place any more: nodes only fill up, so who is like one that found none finds none either.
    hopeless: HashSet<Sort>,
}

/// All that finding a place depends on, besides the nodes. The policy is named, as its rules count.
type Sort = (SchedulingConstraints<'static>, PodRequest, Option<PolicyName>);

impl Play<'_> {
    /// Whether a pod gets what it has: nobody governs it, or its policy is as it was and it keeps to it.
    fn may_stay(&self, pod: &PodEntry) -> bool {
        let (namespace, labels) = (&pod.record.namespace, &pod.record.summary.labels);
        let old = self.old.map(|old| self.cluster.governing(old, namespace, labels));
        match (self.cluster.governing(self.new, namespace, labels), old) {
            (Governed::By(new), None) => breach(&pod.record.summary, new).is_none(),
            (Governed::By(new), Some(Governed::By(old))) => {
                same_content(old, new) || new.mode != apportion_core::policy::Mode::Enforce
            }
            (Governed::By(new), Some(_)) => new.mode != apportion_core::policy::Mode::Enforce,
            // Whoever is free of a policy keeps what it gave.
            (Governed::ByNone, _) => true,
            (Governed::ByUnknown(_) | Governed::ByUnknownNamespace, old) => {
                matches!(old, Some(Governed::ByUnknown(_) | Governed::ByUnknownNamespace))
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

    /// Puts a pod where it is, unless what the new policies promise forbids it.
    fn stay(&mut self, key: &str, pod: &PodEntry) -> bool {
        let node = pod.node().and_then(|node| self.ledger.inventory().node(node));
        let unfit_reason = node.and_then(|node| {
            PodQuery::of_record(&pod.record, &self.context())
                .check(Some(node))
                .err()
        });
        // That a node does not say any more what it gives is not the policies' doing, nor that it has fewer GPUs than it had.
        let is_crowded = unfit_reason.is_some_and(|unfit_reason| {
            unfit_reason.eviction_helps()
                && !matches!(unfit_reason, apportion_core::inventory::UnfitReason::Taken { .. })
        });
        if !is_crowded {
            self.ledger.put_pod(key, Some(pod.record.clone()));
        }
        !is_crowded
    }

    fn again(&mut self, key: &str, pod: &PodEntry, document: Value, why: Why) -> anyhow::Result<()> {
        let namespace = &*pod.record.namespace;
        let mut made = document;
        let restored = restore(&mut made);
        let verdict =
            Verdict::of(&made, namespace, self.new, self.ledger.inventory()).with_context(|| key.to_owned())?;
        let record = verdict.record()?;
        let from = self.share(pod);
        let same_under_old = match self.old {
            Some(old) if why == Why::Judged => {
                let before =
                    Verdict::of(&made, namespace, old, self.ledger.inventory()).with_context(|| key.to_owned())?;
                let alike = |record: &Option<PodRecord>| record.as_ref().map(counts).unwrap_or_default();
                Some(
                    before.denied == verdict.denied
                        && (verdict.denied
                            || before.strategy == verdict.strategy && alike(&before.record()?) == alike(&record)),
                )
            }
            _ => None,
        };
        if verdict.denied {
            self.note(
                pod,
                Outcome::Denied,
                &verdict,
                from,
                None,
                (same_under_old, restored),
                false,
            );
            return Ok(());
        }
        let Some(record) = record else {
            self.report.unchanged += 1;
            return Ok(());
        };
        let node = self.place(&record, pod.node());
        let to = Share {
            strategy: self.strategy_on(node.as_deref(), &record).or(verdict.strategy),
            resources: counts(&record),
        };
        let is_alike = from.resources == to.resources && (from.strategy.is_none() || from.strategy == to.strategy);
        let outcome = if is_alike { Outcome::Moved } else { Outcome::Changed };
        let is_placed = node.is_some();
        // Under the old policies it was where it is.
        let same_under_old = if is_alike {
            same_under_old.map(|_| false)
        } else {
            same_under_old
        };
        // One that waits and goes on waiting for the same has lost nothing.
        let is_unchanged = is_alike && (is_placed && node.as_deref() == pod.node() || pod.node().is_none());
        if is_unchanged {
            self.report.unchanged += 1;
        } else {
            if !is_placed {
                for (name, count) in &to.resources {
                    let missing = self.missing.entry((verdict.strategy, name.clone())).or_default();
                    *missing = (missing.0 + count, missing.1 + 1);
                }
            }
            self.note(
                pod,
                outcome,
                &verdict,
                from,
                Some(to),
                (same_under_old, restored),
                !is_placed,
            );
        }
        let place = node.map_or(PodPlacement::Waiting, PodPlacement::Node);
        self.ledger.put_pod(key, Some(PodRecord { place, ..record }));
        Ok(())
    }

    /// A node for a pod: the one that it was on, else the best.
    fn place(&mut self, record: &PodRecord, home: Option<&str>) -> Option<Box<str>> {
        let ask = PodQuery::of_record(record, &self.context());
        let pod_request = ask.pod_request()?;
        let policy = match &ask {
            PodQuery::Hold { policy, .. } => Some(policy.name.clone()),
            _ => None,
        };
        let sort = (record.summary.scheduling.clone(), pod_request.clone(), policy);
        if self.hopeless.contains(&sort) {
            return None;
        }
        let inventory = self.ledger.inventory();
        let at_home = home.filter(|home| inventory.node(home).is_some_and(|node| does(node, record, &ask)));
        let found = at_home.map(Box::from).or_else(|| self.best(record, pod_request, &ask));
        if found.is_none() {
            self.hopeless.insert(sort);
        }
        found
    }

    fn best(&self, record: &PodRecord, pod_request: &PodRequest, ask: &PodQuery<'_>) -> Option<Box<str>> {
        let (first, _) = record.demand.iter().next()?;
        let nodes = self.by_resource.get(&first)?.iter();
        let fitting = nodes
            .filter_map(|name| self.ledger.inventory().node(name))
            .filter(|node| does(node, record, ask));
        // The first of equals, so that the same dump gives the same answer.
        let mut best: Option<(f64, &NodeEntry)> = None;
        for node in fitting {
            let score = worth(node, pod_request);
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, node));
            }
        }
        best.map(|(_, node)| Box::from(&*node.name))
    }

    fn share(&self, pod: &PodEntry) -> Share {
        Share {
            strategy: self.strategy_on(pod.node(), &pod.record),
            resources: counts(&pod.record),
        }
    }

    fn strategy_on(&self, node: Option<&str>, record: &PodRecord) -> Option<&'static str> {
        let node = self.cluster.node(node?)?;
        let (resource, _) = record.demand.iter().next()?;
        node.offers.get(resource).map(|offer| Strategy::as_str(offer.strategy))
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of one row")]
    fn note(
        &mut self,
        pod: &PodEntry,
        outcome: Outcome,
        verdict: &Verdict,
        from: Share,
        to: Option<Share>,
        (same_under_old, restored): (Option<bool>, bool),
        without_place: bool,
    ) {
        let alike = (
            pod.record.namespace.to_string(),
            workload(&pod.record.name, &pod.record.summary.labels),
            outcome,
            verdict.policy.clone(),
            from,
            to,
            if verdict.denied {
                verdict.because.clone()
            } else {
                String::new()
            },
            same_under_old,
            restored,
        );
        let first = || (0, 0, verdict.because.clone());
        let (pods, lost, _) = self.changes.entry(alike).or_insert_with(first);
        *pods += 1;
        *lost += usize::from(without_place);
    }

    fn end(self) -> Report {
        let changes = self.changes.into_iter().map(|(alike, (pods, without_place, because))| {
            let (namespace, workload, outcome, policy, from, to, _, same_under_old, restored) = alike;
            Change {
                namespace,
                workload,
                pods,
                outcome,
                policy,
                from,
                to,
                because,
                without_place,
                same_under_old,
                restored,
            }
        });
        let missing = self
            .missing
            .into_iter()
            .map(|((strategy, resource), (shares, pods))| Missing {
                strategy,
                resource,
                shares,
                pods,
            });
        Report {
            changes: changes.collect(),
            missing: missing.collect(),
            ..self.report
        }
    }
}

fn counts(record: &PodRecord) -> BTreeMap<String, u64> {
    record
        .demand
        .iter()
        .map(|(resource, count)| (resource.to_string(), count))
        .collect()
}

/// Whether a node can hold a pod now. What is cheap to find out, and most nodes fail, comes first.
fn does(node: &NodeEntry, record: &PodRecord, ask: &PodQuery<'_>) -> bool {
    let enough = |(resource, needs)| node.offers.get(resource).is_some_and(|offer| node.free(offer) >= needs);
    record.demand.iter().all(enough) && node.is_reachable(&record.summary.scheduling) && ask.check(Some(node)).is_ok()
}

/// Whether two policies say the same of the pods that they govern, wherever they stand and whatever they are called.
fn same_content(old: &Policy, new: &Policy) -> bool {
    old.mode == new.mode
        && old.limits == new.limits
        && old.tenant_label == new.tenant_label
        && old.isolation == new.isolation
        && old.sharing_rules().eq(new.sharing_rules())
}
