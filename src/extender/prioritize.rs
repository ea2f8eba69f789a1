//! Which of the nodes that fit are better.
//!
//! Shares and partitions are packed, so that whole GPUs and whole nodes stay free; whole GPUs go where they leave the fewest behind, so
//! that a job for eight still finds eight; and shares of one tenant go together, so that a node is left for the next.

use super::question::{Ask, Context, listed};
use super::wire::{Args, HostPriority};
use crate::gpu::Counts;
use crate::inventory::{Newcomer, NodeEntry};

/// `MaxExtenderPriority` of k8s.io/kube-scheduler/extender/v1.
pub const MAX_SCORE: i64 = 10;

/// Scores every node that is asked about, and calls `write` with the answer.
pub fn prioritize<T>(
    args: &Args<'_>,
    context: &Context<'_>,
    write: impl FnOnce(&[HostPriority<'_>]) -> T,
) -> Result<T, String> {
    let ask = Ask::of(&args.pod, context);
    let nodes = listed(args, context)?;
    let scores: Vec<HostPriority<'_>> = nodes
        .iter()
        .map(|(name, node)| HostPriority {
            host: name,
            score: scaled(score(&ask, node.as_deref())),
        })
        .collect();
    Ok(write(&scores))
}

/// How good a node is, from 0 to 1; what can not hold the pod is worth nothing.
///
/// kube-scheduler multiplies ten times this by the extender's weight and by 10 again: with weight 5 a full node is 500 points ahead of an
/// empty one, beside at most 200 by which `NodeResourcesFit` and `NodeResourcesBalancedAllocation` spread pods, and 200 to 300 of each
/// preference that somebody wrote into the pod or the node (`pkg/scheduler/apis/config/v1/default_plugins.go`).
pub(super) fn score(ask: &Ask<'_>, node: Option<&NodeEntry>) -> f64 {
    match (ask, node) {
        (Ask::Hold { newcomer, .. }, Some(node)) if ask.check(Some(node)).is_ok() => worth(node, newcomer),
        _ => 0.0,
    }
}

/// How good a node is that can hold the pod, from 0 to 1.
pub fn worth(node: &NodeEntry, newcomer: &Newcomer) -> f64 {
    let full = fullness(node, &newcomer.demand);
    match company(node, newcomer) {
        Some(company) => (1.0 - COMPANY) * full + COMPANY * company,
        None => full,
    }
}

/// How much the neighbours on shared GPUs count beside how full the node will be.
const COMPANY: f64 = 0.3;

/// How good the neighbours on shared GPUs are: the own tenant's, then none, then others'. `None` where nothing is shared.
fn company(node: &NodeEntry, newcomer: &Newcomer) -> Option<f64> {
    let offers = newcomer
        .demand
        .iter()
        .filter_map(|(resource, _)| node.offers.get(resource));
    let mut shared = offers.filter(|offer| offer.is_shared()).peekable();
    shared.peek()?;
    let mut stakes = shared.flat_map(|offer| node.held.stakes(offer.resource)).peekable();
    if stakes.peek().is_none() {
        return Some(0.5);
    }
    let is_own = stakes.all(|(stake, _)| stake.terms.tenant == newcomer.terms.tenant);
    Some(if is_own { 1.0 } else { 0.0 })
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
