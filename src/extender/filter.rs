//! Which nodes can hold a pod.

use super::prioritize::worth;
use super::question::{Ask, Context, listed};
use super::victims::waits_for_leavers;
use super::wire::{Args, Empty, FilterResult, Nodes};

/// How many of the nodes that fit are answered.
///
/// The scheduler decodes the answer and scores every node in it; at 5,000 nodes a full answer costs a third of its throughput, and a
/// short one nothing. A short one is the best by our score, so in-tree scores choose among these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerSize {
    /// At most so many.
    Best(usize),
    /// All of them, with a reason for each of the others.
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
    context: &Context<'_>,
    size: AnswerSize,
    write: impl FnOnce(&FilterResult<'_>) -> T,
) -> T {
    filter_for(&Ask::of(&args.pod, context), args, context, size, write)
}

/// The same for who knows already what the pod means.
pub fn filter_for<T>(
    ask: &Ask<'_>,
    args: &Args<'_>,
    context: &Context<'_>,
    size: AnswerSize,
    write: impl FnOnce(&FilterResult<'_>) -> T,
) -> T {
    let priority = args.pod.spec.priority.unwrap_or(0);
    let nodes = match listed(args, context) {
        Ok(nodes) => nodes,
        Err(error) => {
            return write(&FilterResult {
                error,
                ..FilterResult::default()
            });
        }
    };
    let mut result = FilterResult::default();
    let mut fitting: Vec<usize> = Vec::with_capacity(nodes.len());
    let mut lacking: Vec<usize> = Vec::new();
    for (at, (_, node)) in nodes.iter().enumerate() {
        match ask.check(node.as_deref()) {
            Ok(()) => fitting.push(at),
            Err(lack) => {
                result.lacks[lack.kind().index()] += 1;
                lacking.push(at);
            }
        }
    }
    if let Ask::Refuse(reason) = ask {
        fitting.clear();
        result.failed_and_unresolvable_nodes = nodes.iter().map(|(name, _)| (&**name, reason.clone())).collect();
    } else if fitting.is_empty() || size == AnswerSize::All {
        // The scheduler's own preemption dry-runs in-tree filters alone. What fails here has passed them, so it finds nobody to evict there and
        // fails with an error: no node is given up to it. But a pod that waits for victims on its nominated node is to wait on; were that node
        // given as unresolvable, the scheduler would evict others elsewhere meanwhile.
        for at in lacking {
            let (name, node) = &nodes[at];
            let Err(lack) = ask.check(node.as_deref()) else {
                continue;
            };
            let waits = args.pod.nominated_to() == Some(&**name)
                && lack.eviction_helps()
                && node
                    .as_deref()
                    .is_some_and(|node| waits_for_leavers(ask, node, priority));
            let list = if waits {
                &mut result.failed_nodes
            } else {
                &mut result.failed_and_unresolvable_nodes
            };
            list.insert(&**name, lack.to_string());
        }
    }
    if let (Ask::Hold { newcomer, .. }, AnswerSize::Best(most)) = (ask, size)
        && fitting.len() > most
    {
        let score = |at: usize| nodes[at].1.as_deref().map_or(0.0, |node| worth(node, newcomer));
        let mut ranked: Vec<(f64, usize)> = fitting.iter().map(|at| (score(*at), *at)).collect();
        // Among equals the scheduler's own rotation is kept.
        let better = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        ranked.select_nth_unstable_by(most, better);
        ranked.truncate(most);
        ranked.sort_unstable_by(better);
        fitting = ranked.into_iter().map(|(_, at)| at).collect();
    }
    if args.node_names.is_some() {
        result.node_names = Some(fitting.iter().map(|at| &*nodes[*at].0).collect());
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
