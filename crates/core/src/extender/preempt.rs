//! The preempt call: the victims that our limits need in addition to the scheduler's.
//!
//! The scheduler calls only for nodes where in-tree filters need at least one victim, and has
//! selected victims for those filters alone: its dry run knows nothing of tenants, shares of a GPU
//! or declared memory. Its victims are kept, those that our rules need are added, and nodes where
//! no eviction helps are dropped. Disruption budgets are not visible here: the scheduler's count of
//! violations is passed on unchanged, and added victims may violate more of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::context::ExtenderContext;
use super::pod_query::PodQuery;
use super::victims::{awaits_kept_room, has_kept_room, select_victims};
use super::wire::{MetaPod, MetaVictims, PreemptionArgs, PreemptionResult};
use crate::inventory::{NodeEntry, PodEntry};

/// The scheduler's victims on a node.
#[derive(Debug)]
struct Candidate<'q> {
    uids: Vec<&'q str>,
    pdb_violations: i64,
}

/// Answers a preempt call.
pub fn preempt<'q>(args: &'q PreemptionArgs<'_>, context: &ExtenderContext<'_>) -> PreemptionResult<'q> {
    let query = PodQuery::of(&args.pod, context);
    let uid = args.pod.metadata.uid.as_deref().unwrap_or_default();
    let priority = args.pod.spec.priority.unwrap_or(0);
    let mut result = PreemptionResult::default();
    let candidates = candidates(args);
    // No eviction helps a rejected pod, and a pod that waits for terminating pods needs no others.
    if matches!(query, PodQuery::Reject(_))
        || awaits_kept_room(&query, uid, priority, context)
        || has_kept_room(&query, uid, priority, context, |node| candidates.contains_key(node))
    {
        return result;
    }
    for (name, candidate) in candidates {
        let node = context.node(name, uid, priority);
        let Some(pods) = all_victims(&query, node.as_deref(), priority, &candidate.uids) else {
            continue;
        };
        // The scheduler fails the whole preemption over an empty list.
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

/// The scheduler's victims and ours, the most important first; `None` if they do not make the pod
/// fit.
fn all_victims<'q>(
    query: &PodQuery<'_>,
    node: Option<&NodeEntry>,
    priority: i32,
    scheduler_victims: &[&'q str],
) -> Option<Vec<MetaPod<'q>>> {
    let unchanged = || {
        let uids = scheduler_victims.iter().map(|uid| Cow::Borrowed(*uid));
        uids.map(|uid| MetaPod { uid }).collect()
    };
    let Some(node) = node else {
        return query.check(None).is_ok().then(unchanged);
    };
    let is_selected = |pod: &PodEntry| scheduler_victims.contains(&&*pod.record.summary.uid);
    let added = select_victims(node, priority, is_selected, |node| query.check(Some(node)).is_ok())?;
    let mut pods: Vec<MetaPod<'q>> = unchanged();
    // The scheduler takes the first victim for the most important. The inventory does not have the
    // priority of pods without GPUs.
    let priority_of = |uid: &str| {
        let known = node.pods.iter().find(|pod| *pod.record.summary.uid == *uid);
        known.map(|pod| pod.record.priority)
    };
    for victim in added {
        let is_less_important =
            |pod: &MetaPod<'_>| priority_of(&pod.uid).is_some_and(|known| known < victim.record.priority);
        let index = pods.iter().position(is_less_important).unwrap_or(pods.len());
        let uid = Cow::Owned(victim.record.summary.uid.to_string());
        pods.insert(index, MetaPod { uid });
    }
    Some(pods)
}
