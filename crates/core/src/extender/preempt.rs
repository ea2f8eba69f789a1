//! Whom the scheduler's own preemption has to evict beside those that it has found.
//!
//! It asks only about nodes where in-tree filters need at least one victim, and has chosen for these alone: nobody in its dry run knew of
//! tenants, shares of a GPU or declared memory. Its victims stay; those are added whom our own rules need, and nodes where nothing helps
//! are dropped. `PodDisruptionBudgets` are not seen here: their count is passed on as it came, and what is added may break more of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::pod_query::{ExtenderContext, PodQuery};
use super::victims::{victims, waits_for_leavers};
use super::wire::{MetaPod, MetaVictims, PreemptionArgs, PreemptionResult};
use crate::inventory::{NodeEntry, PodEntry};

/// Whom the scheduler would evict on a node.
#[derive(Debug)]
struct Candidate<'q> {
    uids: Vec<&'q str>,
    pdb_violations: i64,
}

/// Answers a preempt call.
pub fn preempt<'q>(args: &'q PreemptionArgs<'_>, context: &ExtenderContext<'_>) -> PreemptionResult<'q> {
    let ask = PodQuery::of(&args.pod, context);
    let uid = args.pod.metadata.uid.as_deref().unwrap_or_default();
    let priority = args.pod.spec.priority.unwrap_or(0);
    let mut result = PreemptionResult::default();
    // Nothing helps a pod that can not be judged; and one for which others leave already is not to cost more.
    if matches!(ask, PodQuery::Refuse(_)) || is_made_room_for(&ask, uid, priority, context) {
        return result;
    }
    for (name, candidate) in candidates(args) {
        let node = context.node(name, uid, priority);
        let Some(pods) = answer(&ask, node.as_deref(), priority, &candidate.uids) else {
            continue;
        };
        // The scheduler fails the pod over an empty list.
        if !pods.is_empty() {
            let pods = Some(pods);
            let pdb_violations = candidate.pdb_violations;
            result
                .node_name_to_meta_victims
                .insert(name, MetaVictims { pods, pdb_violations });
        }
    }
    result
}

/// Whether there is room on its way for the pod, on a node where it is kept.
pub(super) fn is_made_room_for(ask: &PodQuery<'_>, uid: &str, priority: i32, context: &ExtenderContext<'_>) -> bool {
    context.reserved.kept_for(uid).any(|name| {
        let node = context.node(name, uid, priority);
        node.is_some_and(|node| node.open && waits_for_leavers(ask, &node, priority))
    })
}

fn candidates<'q>(args: &'q PreemptionArgs<'_>) -> BTreeMap<&'q str, Candidate<'q>> {
    let whole = args.node_name_to_victims.iter().flatten().map(|(node, victims)| {
        let pods = victims.iter().flat_map(|victims| victims.pods.iter().flatten());
        let candidate = Candidate {
            uids: pods.map(|pod| &*pod.metadata.uid).collect(),
            pdb_violations: victims.as_ref().map_or(0, |victims| victims.pdb_violations),
        };
        (&**node, candidate)
    });
    let meta = args.node_name_to_meta_victims.iter().flatten().map(|(node, victims)| {
        let pods = victims.iter().flat_map(|victims| victims.pods.iter().flatten());
        let candidate = Candidate {
            uids: pods.map(|pod| &*pod.uid).collect(),
            pdb_violations: victims.as_ref().map_or(0, |victims| victims.pdb_violations),
        };
        (&**node, candidate)
    });
    whole.chain(meta).collect()
}

/// Everybody to be evicted on a node, the most important first; `None` where it does not help.
fn answer<'q>(
    ask: &PodQuery<'_>,
    node: Option<&NodeEntry>,
    priority: i32,
    given: &[&'q str],
) -> Option<Vec<MetaPod<'q>>> {
    let as_given = || given.iter().map(|uid| meta(Cow::Borrowed(*uid))).collect();
    let Some(node) = node else {
        return ask.check(None).is_ok().then(as_given);
    };
    let is_given = |pod: &PodEntry| given.contains(&&*pod.record.summary.uid);
    let more = victims(node, priority, is_given, |node| ask.check(Some(node)).is_ok())?;
    let mut pods: Vec<MetaPod<'q>> = as_given();
    // The scheduler takes the first for the most important. Of those that hold no GPU we do not know how important they are.
    let priority_of = |uid: &str| {
        let known = node.pods.iter().find(|pod| *pod.record.summary.uid == *uid);
        known.map(|pod| pod.record.priority)
    };
    for victim in more {
        let is_less = |pod: &MetaPod<'_>| priority_of(&pod.uid).is_some_and(|known| known < victim.record.priority);
        let at = pods.iter().position(is_less).unwrap_or(pods.len());
        pods.insert(at, meta(Cow::Owned(uid_of(&victim))));
    }
    Some(pods)
}

fn uid_of(pod: &Arc<PodEntry>) -> String {
    pod.record.summary.uid.to_string()
}

fn meta(uid: Cow<'_, str>) -> MetaPod<'_> {
    MetaPod { uid }
}
