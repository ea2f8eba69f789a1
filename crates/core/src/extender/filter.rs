//! Which nodes can hold a pod.

use super::node_query::NodeQuery;
use super::pod_query::{ExtenderContext, PodQuery};
use super::shortlist::Shortlist;
use super::suitability_cache::SuitabilityCache;
use super::victims::waits_for_leavers;
use super::wire::{Args, Empty, FilterResult, Nodes};
use crate::inventory::UnfitReasonKind;

/// How many of the nodes that fit are answered.
///
/// The scheduler decodes the answer and scores every node in it; at 5,000 nodes a full answer costs a third of its throughput, and a
/// short one nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerSize {
    /// At most so many: those that are as good as the best by our own score, among which in-tree scores choose. A pod that prefers some
    /// nodes to others is given somewhat worse ones too.
    Best(usize),
    /// All of them, with a reason for each of the others. What packs then is `/prioritize`, if the scheduler asks it.
    All,
}

impl Default for AnswerSize {
    fn default() -> Self {
        AnswerSize::Best(20)
    }
}

/// Answers a filter call, and calls `write` with the answer.
///
/// What a pod that is not ours is asked about goes back whole. Reasons are given where nothing fits, since then somebody reads them.
pub fn filter<T>(
    args: &Args<'_>,
    context: &ExtenderContext<'_>,
    size: AnswerSize,
    write: impl FnOnce(&FilterResult<'_>) -> T,
) -> T {
    filter_for(&PodQuery::of(&args.pod, context), args, context, size, write)
}

/// The same for who knows already what the pod means.
pub fn filter_for<T>(
    ask: &PodQuery<'_>,
    args: &Args<'_>,
    context: &ExtenderContext<'_>,
    size: AnswerSize,
    write: impl FnOnce(&FilterResult<'_>) -> T,
) -> T {
    let priority = args.pod.spec.priority.unwrap_or(0);
    let nodes = match NodeQuery::of(args, context) {
        Ok(nodes) => nodes,
        Err(error) => {
            return write(&FilterResult {
                error,
                ..FilterResult::default()
            });
        }
    };
    let mut result = FilterResult::default();
    let mut fitting: Vec<usize> = Vec::new();
    let mut shortlist = match (ask, size) {
        (PodQuery::Hold { pod_request, .. }, AnswerSize::Best(_)) => {
            Some(Shortlist::new(pod_request, &args.pod, nodes.len()))
        }
        _ => None,
    };
    let mut lacking: Vec<usize> = Vec::new();
    let mut survey = SuitabilityCache::new(ask);
    for at in 0..nodes.len() {
        let node = nodes.node(at);
        match (survey.check(node), &mut shortlist, node) {
            // What a node is worth is found out while it is at hand.
            (Ok(()), Some(shortlist), Some(node)) => shortlist.add(at, node),
            (Ok(()), ..) => fitting.push(at),
            (Err(unfit_reason), ..) => {
                result.unfit_reasons[unfit_reason.kind().index()] += 1;
                result.behind |= unfit_reason.kind() == UnfitReasonKind::Taken && nodes.is_as_known(at);
                lacking.push(at);
            }
        }
    }
    if let (Some(shortlist), AnswerSize::Best(most)) = (shortlist, size) {
        fitting = shortlist.best(most);
    }
    if let PodQuery::Refuse(reason) = ask {
        fitting.clear();
        result.failed_and_unresolvable_nodes = nodes.iter().map(|(name, _)| (name, reason.clone())).collect();
    } else if fitting.is_empty() || size == AnswerSize::All {
        // The scheduler's own preemption dry-runs in-tree filters alone. What fails here has passed them, so it finds nobody to evict there and
        // fails with an error: no node is given up to it. But a pod that waits for victims on its nominated node is to wait on; were that node
        // given as unresolvable, the scheduler would evict others elsewhere meanwhile.
        for at in lacking {
            let (name, node) = (nodes.name(at), nodes.node(at));
            let Err(unfit_reason) = survey.check(node) else {
                continue;
            };
            let waits = args.pod.nominated_to() == Some(name)
                && unfit_reason.eviction_helps()
                && node.is_some_and(|node| waits_for_leavers(ask, node, priority));
            let list = if waits {
                &mut result.failed_nodes
            } else {
                &mut result.failed_and_unresolvable_nodes
            };
            list.insert(name, unfit_reason.to_string());
        }
    }
    if args.node_names.is_some() {
        result.node_names = Some(fitting.iter().map(|at| nodes.name(*at)).collect());
    } else if let Some(items) = args
        .nodes
        .as_ref()
        .map(|list| list.items.as_deref().unwrap_or_default())
    {
        let items = fitting.iter().map(|at| items[*at]).collect();
        result.nodes = Some(Nodes {
            metadata: Empty {},
            items,
        });
    }
    write(&result)
}
