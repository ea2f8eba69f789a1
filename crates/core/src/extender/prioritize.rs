//! The prioritize call: how well each node fits a pod.
//!
//! Shares and partitions are packed, so that whole GPUs and whole nodes stay free. Whole GPUs are
//! placed best-fit, so that a job for eight GPUs still finds eight. Shares of one tenant are placed
//! together, so that other nodes stay free for other tenants.

use super::context::{CandidateNodes, ExtenderArgsError, ExtenderContext};
use super::pod_query::{PodQuery, SuitabilityCache};
use super::wire::{Args, HostPriority};
use crate::gpu::Counts;
use crate::inventory::{NodeEntry, Offer, PodRequest};

/// `MaxExtenderPriority` of k8s.io/kube-scheduler/extender/v1.
pub const MAX_SCORE: i64 = 10;

/// Scores every node of the call, and calls `write` with the answer. Nodes that do not fit score 0.
///
/// kube-scheduler multiplies the score, from 0 to 10, by the extender's weight and by 10 again.
/// With weight 5 a full node is 500 points ahead of an empty one. In-tree, `NodeResourcesFit` and
/// `NodeResourcesBalancedAllocation` spread pods by at most 200 points, and each preference in a
/// pod or node counts 200 to 300 (`pkg/scheduler/apis/config/v1/default_plugins.go`).
pub fn prioritize<T>(
    args: &Args<'_>,
    context: &ExtenderContext<'_>,
    write: impl FnOnce(&[HostPriority<'_>]) -> T,
) -> Result<T, ExtenderArgsError> {
    let query = PodQuery::of(&args.pod, context);
    let nodes = CandidateNodes::of(args, context)?;
    let mut suitability = SuitabilityCache::new(&query);
    let mut score = |node| match (&query, node) {
        (PodQuery::Enforced { pod_request, .. }, Some(node)) if suitability.check(Some(node)).is_ok() => {
            node_score(node, pod_request)
        }
        _ => 0.0,
    };
    let scores: Vec<HostPriority<'_>> = nodes
        .iter()
        .map(|(name, node)| HostPriority {
            host: name,
            score: scaled(score(node)),
        })
        .collect();
    Ok(write(&scores))
}

/// The score of a node that fits the pod, from 0 to 1.
pub fn node_score(node: &NodeEntry, pod_request: &PodRequest) -> f64 {
    let usage = usage_with(node, &pod_request.demand);
    if is_shared(node, pod_request) {
        let same_tenant = f64::from(u8::from(has_only_same_tenant(node, pod_request)));
        (1.0 - SAME_TENANT_WEIGHT) * usage + SAME_TENANT_WEIGHT * same_tenant
    } else {
        usage
    }
}

/// How much pods of the same tenant count, compared with usage. Little: a node shared with other
/// tenants is still better than an empty one. Where tenants must be apart, the node does not fit at
/// all.
const SAME_TENANT_WEIGHT: f64 = 0.1;

fn is_shared(node: &NodeEntry, pod_request: &PodRequest) -> bool {
    let mut offers = pod_request
        .demand
        .iter()
        .filter_map(|(resource, _)| node.offers.get(resource));
    offers.any(Offer::is_shared)
}

/// Whether the requested offers are in use, and only by pods of the same tenant.
fn has_only_same_tenant(node: &NodeEntry, pod_request: &PodRequest) -> bool {
    let mut by_key = pod_request
        .demand
        .iter()
        .flat_map(|(resource, _)| node.usage.by_key(resource))
        .peekable();
    by_key.peek().is_some() && by_key.all(|(usage_key, _)| usage_key.guarantees.tenant == pod_request.guarantees.tenant)
}

/// The mean usage of the requested offers with the pod on the node, from 0 to 1. For whole GPUs
/// that is best fit: of two nodes of equal size, the one with fewer free GPUs scores higher.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts of devices on one node are far below 2^52"
)]
fn usage_with(node: &NodeEntry, demand: &Counts) -> f64 {
    let usage = demand.iter().filter_map(|(resource, needs)| {
        let offer = node.offers.get(resource)?;
        let left = node.free(offer).saturating_sub(needs);
        Some(1.0 - left as f64 / offer.total.max(1) as f64)
    });
    let (sum, count) = usage.fold((0.0, 0.0), |(sum, count), part| (sum + part, count + 1.0));
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
