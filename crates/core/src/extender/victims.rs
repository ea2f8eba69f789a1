//! Which pods must leave a node to make room for another: the least important, and no more than
//! necessary.
//!
//! The algorithm is that of kube-scheduler's default preemption: remove all less important pods
//! hypothetically, then add back as many as possible, the most important first. Terminating pods
//! are the least important of all, because waiting for them costs nothing.

use std::cmp::Reverse;
use std::sync::Arc;

use super::context::ExtenderContext;
use super::pod_query::PodQuery;
use crate::inventory::{NodeEntry, PodEntry};

/// The victims in addition to the pods that are `gone` in any case, so that a pod of this priority
/// `fits`; the most important first. `None` if removing all candidates is not enough.
///
/// `fits` must stay true when pods are removed. Then every victim is necessary, and none can be
/// spared in favour of less important ones.
pub fn select_victims(
    node: &NodeEntry,
    priority: i32,
    gone: impl Fn(&PodEntry) -> bool,
    fits: impl Fn(&NodeEntry) -> bool,
) -> Option<Vec<Arc<PodEntry>>> {
    let mut remaining = without(node, &gone);
    if fits(&remaining) {
        return Some(Vec::new());
    }
    let is_candidate = |pod: &PodEntry| pod.record.priority < priority && !pod.record.summary.is_mirror && !gone(pod);
    let mut candidates: Vec<&Arc<PodEntry>> = node.pods.iter().filter(|pod| is_candidate(pod)).collect();
    for pod in &candidates {
        remaining.usage.subtract(&pod.request());
    }
    if candidates.is_empty() || !fits(&remaining) {
        return None;
    }
    candidates.sort_by_cached_key(|pod| importance(pod));
    let mut victims = Vec::new();
    for pod in candidates {
        remaining.usage.add(&pod.request());
        if !fits(&remaining) {
            remaining.usage.subtract(&pod.request());
            victims.push(Arc::clone(pod));
        }
    }
    Some(victims)
}

/// Whether the pod will fit the node once its less important terminating pods are gone.
pub(super) fn fits_after_termination(query: &PodQuery<'_>, node: &NodeEntry, priority: i32) -> bool {
    let goes = |pod: &PodEntry| pod.record.terminating && pod.record.priority < priority;
    node.pods.iter().any(|pod| goes(pod)) && query.check(Some(&without(node, goes))).is_ok()
}

/// Whether room is being made for the pod: it will fit a node that keeps room for it.
pub(super) fn awaits_kept_room(query: &PodQuery<'_>, uid: &str, priority: i32, context: &ExtenderContext<'_>) -> bool {
    context.reserved.nominated_nodes(uid).any(|name| {
        let node = context.node(name, uid, priority);
        node.is_some_and(|node| node.schedulable && fits_after_termination(query, &node, priority))
    })
}

/// Whether a node that keeps room for the pod has it by now. The filter call may have missed that the
/// last victim is gone, because our watch was behind the scheduler's. Nodes that need evictions for
/// in-tree filters do not count.
pub(super) fn has_kept_room(
    query: &PodQuery<'_>,
    uid: &str,
    priority: i32,
    context: &ExtenderContext<'_>,
    needs_evictions: impl Fn(&str) -> bool,
) -> bool {
    context.reserved.nominated_nodes(uid).any(|name| {
        let node = context.node(name, uid, priority);
        !needs_evictions(name) && node.is_some_and(|node| node.schedulable && query.check(Some(&node)).is_ok())
    })
}

fn without(node: &NodeEntry, gone: impl Fn(&PodEntry) -> bool) -> NodeEntry {
    let mut remaining = node.clone();
    for pod in node.pods.iter().filter(|pod| gone(pod)) {
        remaining.usage.subtract(&pod.request());
    }
    remaining
}

/// The order in which pods stay. Of equal priority, smaller pods first, so that fewer have to go;
/// then by name, so that the answer is stable.
fn importance(pod: &PodEntry) -> (bool, Reverse<i32>, u64, String) {
    let size = pod.record.demand.iter().map(|(_, count)| count).sum();
    (pod.record.terminating, Reverse(pod.record.priority), size, pod.key())
}
