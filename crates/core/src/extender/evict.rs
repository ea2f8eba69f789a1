//! Which pods Apportion evicts itself when in-tree filters pass and only its own limits keep a pod
//! out.
//!
//! The scheduler never preempts there: in its dry run the pod fits without victims. Node and
//! victims are chosen as the scheduler would choose them.

use std::sync::Arc;

use super::context::{CandidateNodes, ExtenderContext};
use super::pod_query::PodQuery;
use super::victims::{awaits_kept_room, select_victims};
use super::wire::Args;
use crate::inventory::{NodeEntry, PodEntry, PodRecord, PodRequest};

/// A node where evictions would let a pod in. The victims are selected when the request is carried
/// out, because the node may change until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreemptionRequest {
    /// `namespace/name` of the preemptor.
    pub pod: String,
    pub uid: String,
    pub node: String,
}

/// The pods to evict from a node.
#[derive(Clone, Debug)]
pub struct EvictionPlan {
    /// What the preemptor will use.
    pub pod_request: PodRequest,
    /// Never empty.
    pub victims: Vec<Arc<PodEntry>>,
}

/// The preemption that a filter call without a fitting node asks for. `None` if terminating pods
/// make room anyway. `avoid` names nodes to skip.
pub fn request_preemption(
    args: &Args<'_>,
    context: &ExtenderContext<'_>,
    avoid: impl Fn(&str) -> bool,
) -> Option<PreemptionRequest> {
    let query = PodQuery::of(&args.pod, context);
    let uid = args.pod.metadata.uid.as_deref().filter(|uid| !uid.is_empty())?;
    let priority = args.pod.spec.priority.unwrap_or(0);
    let may_not_preempt = args.pod.spec.never_preempts() || args.pod.nominated_node().is_some();
    let has_kept_room = || context.reserved.nominated_nodes(uid).next().is_some();
    if may_not_preempt || !matches!(query, PodQuery::Enforced { .. }) || has_kept_room() {
        return None;
    }
    let nodes = CandidateNodes::of(args, context).ok()?;
    let mut best: Option<(Cost, &str)> = None;
    for (name, node) in nodes.iter() {
        let Some(node) = node.filter(|_| !avoid(name)) else {
            continue;
        };
        let Some(victims) = victims_on(&query, node, priority) else {
            continue;
        };
        let running: Vec<_> = victims.into_iter().filter(|pod| !pod.record.terminating).collect();
        if running.is_empty() {
            // Terminating pods make enough room. The node passed in-tree filters, so its kubelet is
            // there to end them.
            return None;
        }
        let cost = Cost::of(&running);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, name));
        }
    }
    best.map(|(_, node)| PreemptionRequest {
        pod: args.pod.metadata.key(),
        uid: uid.to_owned(),
        node: node.to_owned(),
    })
}

/// The pods to evict from a node for a pending pod; `None` if that is no longer needed, or does not
/// help.
pub fn plan_eviction(pod: &PodRecord, node: &str, context: &ExtenderContext<'_>) -> Option<EvictionPlan> {
    let query = PodQuery::of_record(pod, context);
    if !matches!(query, PodQuery::Enforced { .. }) || awaits_kept_room(&query, &pod.summary.uid, pod.priority, context)
    {
        return None;
    }
    let entry = context.node(node, &pod.summary.uid, pod.priority)?;
    let mut victims = victims_on(&query, &entry, pod.priority)?;
    victims.retain(|pod| !pod.record.terminating);
    let pod_request = query.pod_request()?.clone();
    (!victims.is_empty()).then_some(EvictionPlan { pod_request, victims })
}

/// The victims on a node; `None` if evictions do not help there.
fn victims_on(query: &PodQuery<'_>, node: &NodeEntry, priority: i32) -> Option<Vec<Arc<PodEntry>>> {
    let unfit_reason = query.check(Some(node)).err()?;
    if !unfit_reason.eviction_helps() {
        return None;
    }
    select_victims(node, priority, |_| false, |node| query.check(Some(node)).is_ok())
}

/// The cost of evictions, in the order of kube-scheduler's `pickOneNodeForPreemption`. Disruption
/// budgets, which kube-scheduler compares first, are left to the API server. Of equal nodes, the
/// first in the call is chosen.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    highest_priority: i32,
    /// Each priority counts from the lowest possible, so that more pods always cost more.
    priority_sum: u64,
    pods: usize,
}

impl Cost {
    fn of(pods: &[Arc<PodEntry>]) -> Self {
        let priorities = || pods.iter().map(|pod| pod.record.priority);
        Cost {
            highest_priority: priorities().max().unwrap_or(i32::MIN),
            priority_sum: priorities()
                .map(|priority| u64::from(priority.abs_diff(i32::MIN)))
                .sum(),
            pods: pods.len(),
        }
    }
}
