//! The filter call: which nodes fit a pod.

use super::context::{CandidateNodes, ExtenderContext};
use super::pod_query::{PodQuery, SuitabilityCache};
use super::shortlist::Shortlist;
use super::victims::fits_after_termination;
use super::wire::{Args, Empty, FilterResult, Nodes};
use crate::inventory::UnfitReasonKind;

/// How many of the fitting nodes are returned.
///
/// The scheduler decodes the answer and scores every node in it. At 5,000 nodes a full answer costs
/// a third of the scheduler's throughput; a short one costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerSize {
    /// At most this many, and only those with the best score of ours; in-tree scores choose among
    /// them. A pod with preferences gets somewhat worse nodes too.
    Best(usize),
    /// All fitting nodes, with a reason for each of the others. Packing is then up to
    /// `/prioritize`, if the scheduler calls it.
    All,
}

impl Default for AnswerSize {
    fn default() -> Self {
        AnswerSize::Best(20)
    }
}

/// Answers a filter call, and calls `write` with the answer.
///
/// For a pod without GPU requests all nodes are returned. Reasons are given if no node fits,
/// because then people read them.
pub fn filter<T>(
    args: &Args<'_>,
    context: &ExtenderContext<'_>,
    size: AnswerSize,
    write: impl FnOnce(&FilterResult<'_>) -> T,
) -> T {
    filter_for(&PodQuery::of(&args.pod, context), args, context, size, write)
}

/// Like [`filter`], for callers that already have the pod's query.
pub fn filter_for<T>(
    query: &PodQuery<'_>,
    args: &Args<'_>,
    context: &ExtenderContext<'_>,
    size: AnswerSize,
    write: impl FnOnce(&FilterResult<'_>) -> T,
) -> T {
    let nodes = match CandidateNodes::of(args, context) {
        Ok(nodes) => nodes,
        Err(error) => {
            return write(&FilterResult {
                error: error.to_string(),
                ..FilterResult::default()
            });
        }
    };
    let mut result = FilterResult::default();
    let mut fitting: Vec<usize> = Vec::new();
    let mut unfit: Vec<usize> = Vec::new();
    let mut shortlist = match (query, size) {
        (PodQuery::Enforced { pod_request, .. }, AnswerSize::Best(_)) => {
            Some(Shortlist::new(pod_request, &args.pod, nodes.len()))
        }
        _ => None,
    };
    let mut suitability = SuitabilityCache::new(query);
    for index in 0..nodes.len() {
        let node = nodes.node(index);
        match (suitability.check(node), &mut shortlist, node) {
            // Scored now, while the node is in the CPU's cache.
            (Ok(()), Some(shortlist), Some(node)) => shortlist.add(index, node),
            (Ok(()), ..) => fitting.push(index),
            (Err(unfit_reason), ..) => {
                result.unfit_reasons[unfit_reason.kind().index()] += 1;
                result.stale |= unfit_reason.kind() == UnfitReasonKind::Taken && nodes.is_as_in_inventory(index);
                unfit.push(index);
            }
        }
    }
    if let (Some(shortlist), AnswerSize::Best(most)) = (shortlist, size) {
        fitting = shortlist.best(most);
    }
    if let PodQuery::Reject(reason) = query {
        fitting.clear();
        result.failed_and_unresolvable_nodes = nodes.iter().map(|(name, _)| (name, reason.to_string())).collect();
    } else if fitting.is_empty() || size == AnswerSize::All {
        explain_unfit(&mut result, &unfit, &nodes, query, &mut suitability, args);
    }
    if args.node_names.is_some() {
        result.node_names = Some(fitting.iter().map(|index| nodes.name(*index)).collect());
    } else if let Some(list) = &args.nodes {
        let items = list.items.as_deref().unwrap_or_default();
        result.nodes = Some(Nodes {
            metadata: Empty {},
            items: fitting.iter().map(|index| items[*index]).collect(),
        });
    }
    write(&result)
}

/// Adds the reason for each unfit node to the answer.
///
/// The scheduler's own preemption dry-runs only in-tree filters. Nodes that fail here have passed
/// those, so the dry run finds no victims there and fails with an error: they are reported as
/// unresolvable. The exception is the nominated node of a pod that waits for its victims. If that
/// node were unresolvable, the scheduler would evict other pods elsewhere in the meantime.
fn explain_unfit<'q>(
    result: &mut FilterResult<'q>,
    unfit: &[usize],
    nodes: &'q CandidateNodes<'_>,
    query: &PodQuery<'_>,
    suitability: &mut SuitabilityCache<'q>,
    args: &Args<'_>,
) {
    let priority = args.pod.spec.priority.unwrap_or(0);
    for index in unfit {
        let (name, node) = (nodes.name(*index), nodes.node(*index));
        let Err(unfit_reason) = suitability.check(node) else {
            continue;
        };
        let awaits_victims = args.pod.nominated_node() == Some(name)
            && unfit_reason.eviction_helps()
            && node.is_some_and(|node| fits_after_termination(query, node, priority));
        let list = if awaits_victims {
            &mut result.failed_nodes
        } else {
            &mut result.failed_and_unresolvable_nodes
        };
        list.insert(name, unfit_reason.to_string());
    }
}
