//! Which of the nodes that fit are better.
//!
//! Shares and partitions are packed, so that whole GPUs and whole nodes stay free; whole GPUs go where they leave the fewest behind, so
//! that a job for eight still finds eight; and shares of one tenant go together, so that a node is left for the next.

use super::node_query::NodeQuery;
use super::pod_query::{ExtenderContext, PodQuery};
use super::suitability_cache::SuitabilityCache;
use super::wire::{Args, HostPriority};
use crate::gpu::Counts;
use crate::inventory::{NodeEntry, Offer, PodRequest};

/// `MaxExtenderPriority` of k8s.io/kube-scheduler/extender/v1.
pub const MAX_SCORE: i64 = 10;

/// Scores every node that is asked about, and calls `write` with the answer.
pub fn prioritize<T>(
    args: &Args<'_>,
    context: &ExtenderContext<'_>,
    write: impl FnOnce(&[HostPriority<'_>]) -> T,
) -> Result<T, String> {
    let ask = PodQuery::of(&args.pod, context);
    let nodes = NodeQuery::of(args, context)?;
    let mut survey = SuitabilityCache::new(&ask);
    let scores: Vec<HostPriority<'_>> = nodes
        .iter()
        .map(|(name, node)| HostPriority {
            host: name,
            score: scaled(score(&ask, &mut survey, node)),
        })
        .collect();
    Ok(write(&scores))
}

/// How good a node is, from 0 to 1; what can not hold the pod is worth nothing.
///
/// kube-scheduler multiplies ten times this by the extender's weight and by 10 again: with weight 5 a full node is 500 points ahead of an
/// empty one, beside at most 200 by which `NodeResourcesFit` and `NodeResourcesBalancedAllocation` spread pods, and 200 to 300 of each
/// preference that somebody wrote into the pod or the node (`pkg/scheduler/apis/config/v1/default_plugins.go`).
fn score<'q>(ask: &PodQuery<'_>, survey: &mut SuitabilityCache<'q>, node: Option<&'q NodeEntry>) -> f64 {
    match (ask, node) {
        (PodQuery::Hold { pod_request, .. }, Some(node)) if survey.check(Some(node)).is_ok() => {
            worth(node, pod_request)
        }
        _ => 0.0,
    }
}

/// How good a node is that can hold the pod, from 0 to 1.
pub fn worth(node: &NodeEntry, pod_request: &PodRequest) -> f64 {
    let full = fullness(node, &pod_request.demand);
    if is_shared(node, pod_request) {
        let company = if is_among_its_own(node, pod_request) {
            COMPANY
        } else {
            0.0
        };
        (1.0 - COMPANY) * full + company
    } else {
        full
    }
}

/// How much it counts to be among pods of one's own tenant, beside how full the node will be. Little: a node that strangers share is still
/// better than an empty one, unless somebody is promised to be apart, and then it does not fit at all.
const COMPANY: f64 = 0.1;

fn is_shared(node: &NodeEntry, pod_request: &PodRequest) -> bool {
    let mut offers = pod_request
        .demand
        .iter()
        .filter_map(|(resource, _)| node.offers.get(resource));
    offers.any(Offer::is_shared)
}

/// Whether there are pods on the wanted offers, and all of the same tenant.
fn is_among_its_own(node: &NodeEntry, pod_request: &PodRequest) -> bool {
    let mut by_key = pod_request
        .demand
        .iter()
        .flat_map(|(resource, _)| node.held.by_key(resource))
        .peekable();
    by_key.peek().is_some() && by_key.all(|(usage_key, _)| usage_key.terms.tenant == pod_request.terms.tenant)
}

/// How full the wanted offers will be: the mean over them. For whole GPUs that is the best fit: of two nodes of a size the one that is left
/// with fewer, so that a job for all GPUs of a node still finds one.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts of devices on one node are far below 2^52"
)]
fn fullness(node: &NodeEntry, demand: &Counts) -> f64 {
    let full = demand.iter().filter_map(|(resource, needs)| {
        let offer = node.offers.get(resource)?;
        let left = node.free(offer).saturating_sub(needs);
        Some(1.0 - left as f64 / offer.total.max(1) as f64)
    });
    let (sum, count) = full.fold((0.0, 0.0), |(sum, count), part| (sum + part, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the value is within 0 and 10"
)]
fn scaled(score: f64) -> i64 {
    (score.clamp(0.0, 1.0) * MAX_SCORE as f64).round() as i64
}
