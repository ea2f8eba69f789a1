//! Who has to leave a node for a pod: the least important, and no more than it takes.
//!
//! As kube-scheduler's default preemption does it: all that are less important go, then as many as possible come back, the most important
//! first. A pod that leaves anyway is the least important of all: to wait for it harms nobody.

use std::cmp::Reverse;
use std::sync::Arc;

use super::pod_query::PodQuery;
use crate::inventory::{NodeEntry, PodEntry};

/// Who has to leave beside those that are `gone` in any case, so that a pod of this priority `fits`; the most important first. `None` where
/// not even all would do.
///
/// `fits` must not mind an emptier node. Then none of the answer can be spared, and nobody in it could be spared for less important ones.
pub fn victims(
    node: &NodeEntry,
    priority: i32,
    gone: impl Fn(&PodEntry) -> bool,
    fits: impl Fn(&NodeEntry) -> bool,
) -> Option<Vec<Arc<PodEntry>>> {
    let mut left = without(node, &gone);
    if fits(&left) {
        return Some(Vec::new());
    }
    let may_go = |pod: &PodEntry| pod.record.priority < priority && !pod.record.summary.is_mirror && !gone(pod);
    let mut lower: Vec<&Arc<PodEntry>> = node.pods.iter().filter(|pod| may_go(pod)).collect();
    for pod in &lower {
        left.held.subtract(&pod.request());
    }
    if lower.is_empty() || !fits(&left) {
        return None;
    }
    lower.sort_by_cached_key(|pod| importance(pod));
    let mut victims = Vec::new();
    for pod in lower {
        left.held.add(&pod.request());
        if !fits(&left) {
            left.held.subtract(&pod.request());
            victims.push(Arc::clone(pod));
        }
    }
    Some(victims)
}

/// Whether the pod could have the node as soon as those have left that are on their way out and less important.
pub(super) fn waits_for_leavers(ask: &PodQuery<'_>, node: &NodeEntry, priority: i32) -> bool {
    let leaves = |pod: &PodEntry| pod.record.leaving && pod.record.priority < priority;
    node.pods.iter().any(|pod| leaves(pod)) && ask.check(Some(&without(node, leaves))).is_ok()
}

fn without(node: &NodeEntry, gone: impl Fn(&PodEntry) -> bool) -> NodeEntry {
    let mut left = node.clone();
    for pod in node.pods.iter().filter(|pod| gone(pod)) {
        left.held.subtract(&pod.request());
    }
    left
}

/// Who stays first: of equals the smaller, so that fewer have to go; then by name, so that the answer does not waver.
fn importance(pod: &PodEntry) -> (bool, Reverse<i32>, u64, String) {
    let size = pod.record.demand.iter().map(|(_, count)| count).sum();
    (pod.record.leaving, Reverse(pod.record.priority), size, pod.key())
}
