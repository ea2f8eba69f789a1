//! Which of the nodes that fit are better.
//!
//! Shares and partitions are packed, so that whole GPUs and whole nodes stay free; whole GPUs go where they leave the fewest behind, so
//! that a job for eight still finds eight.

use super::question::{Ask, Context, listed};
use super::wire::{Args, HostPriority};
use crate::gpu::Counts;
use crate::inventory::NodeEntry;

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
pub(super) fn score(ask: &Ask<'_>, node: Option<&NodeEntry>) -> f64 {
    match (ask, node) {
        (Ask::Hold { newcomer, .. }, Some(node)) if ask.check(Some(node)).is_ok() => fullness(node, &newcomer.demand),
        _ => 0.0,
    }
}

/// How full the wanted offers will be: the mean over them.
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
