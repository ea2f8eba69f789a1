//! Whom to evict ourselves, where in-tree filters pass and only our own limits keep a pod out.
//!
//! The scheduler never preempts there: its dry run needs nobody to go. Who goes, and where, is chosen as it would choose.

use std::sync::Arc;

use super::node_query::NodeQuery;
use super::pod_query::{ExtenderContext, PodQuery};
use super::preempt::is_made_room_for;
use super::victims::victims;
use super::wire::Args;
use crate::inventory::{NodeEntry, PodEntry, PodRecord, PodRequest};

/// Where an eviction would let a pod in. Who has to go is found out anew when it comes to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreemptionRequest {
    /// The pod, as `namespace/name`.
    pub pod: String,
    /// Its UID.
    pub uid: String,
    /// The node.
    pub node: String,
}

/// Who has to go from a node, and for what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the pod will hold.
    pub pod_request: PodRequest,
    /// Those that are to be told to leave; never empty.
    pub victims: Vec<Arc<PodEntry>>,
}

/// What a filter call that found no node makes us wish, unless others leave already. `avoid` names nodes not to be tried now.
pub fn wish(args: &Args<'_>, context: &ExtenderContext<'_>, avoid: impl Fn(&str) -> bool) -> Option<PreemptionRequest> {
    let ask = PodQuery::of(&args.pod, context);
    let uid = args.pod.metadata.uid.as_deref().filter(|uid| !uid.is_empty())?;
    let priority = args.pod.spec.priority.unwrap_or(0);
    let never = args.pod.spec.never_preempts() || args.pod.nominated_to().is_some();
    if never || !matches!(ask, PodQuery::Hold { .. }) || context.reserved.kept_for(uid).next().is_some() {
        return None;
    }
    let nodes = NodeQuery::of(args, context).ok()?;
    let mut best: Option<(Cost, &str)> = None;
    for (name, node) in nodes.iter() {
        let Some(node) = node.filter(|_| !avoid(name)) else {
            continue;
        };
        let Some(leaving) = leavers(&ask, node, priority) else {
            continue;
        };
        let staying: Vec<_> = leaving.into_iter().filter(|pod| !pod.record.leaving).collect();
        if staying.is_empty() {
            // Somebody's leaving will do. In-tree filters have passed the node, so its kubelet is there to end them.
            return None;
        }
        let cost = Cost::of(&staying);
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

/// Who is to be told to leave a node for a pod that waits; `None` where that is not needed any more, or of no use.
pub fn plan(pod: &PodRecord, node: &str, context: &ExtenderContext<'_>) -> Option<Plan> {
    let ask = PodQuery::of_record(pod, context);
    if !matches!(ask, PodQuery::Hold { .. }) || is_made_room_for(&ask, &pod.summary.uid, pod.priority, context) {
        return None;
    }
    let entry = context.node(node, &pod.summary.uid, pod.priority)?;
    let mut victims = leavers(&ask, &entry, pod.priority)?;
    victims.retain(|pod| !pod.record.leaving);
    let pod_request = ask.pod_request()?.clone();
    (!victims.is_empty()).then_some(Plan { pod_request, victims })
}

/// Who has to leave, where that is what the node lacks.
fn leavers(ask: &PodQuery<'_>, node: &NodeEntry, priority: i32) -> Option<Vec<Arc<PodEntry>>> {
    let unfit_reason = ask.check(Some(node)).err()?;
    if !unfit_reason.eviction_helps() {
        return None;
    }
    victims(node, priority, |_| false, |node| ask.check(Some(node)).is_ok())
}

/// What an eviction costs, in the order of kube-scheduler's `pickOneNodeForPreemption`; the disruption budgets that it puts first are the
/// API server's to hold. Of equals the first that was asked about.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    highest: i32,
    /// Each counted from the lowest that there can be, so that more pods cost more.
    sum: u64,
    pods: usize,
}

impl Cost {
    fn of(pods: &[Arc<PodEntry>]) -> Self {
        let priorities = || pods.iter().map(|pod| pod.record.priority);
        Cost {
            highest: priorities().max().unwrap_or(i32::MIN),
            sum: priorities()
                .map(|priority| u64::from(priority.abs_diff(i32::MIN)))
                .sum(),
            pods: pods.len(),
        }
    }
}
