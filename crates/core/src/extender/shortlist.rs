//! The best of the fitting nodes, from which the scheduler chooses.
//!
//! The scheduler decodes and scores every node that it receives, so a short answer is a fast one.
//! It cannot choose a node that is not in the answer, so the answer also packs, without a second
//! call to `/prioritize`.

use super::prioritize::node_score;
use crate::inventory::{NodeEntry, PodRequest};
use crate::k8s::{Pod, Toleration};

/// How far below the best score a node may be for a pod with preferences. With `/prioritize` at
/// weight 5, in-tree preferences of 200 to 300 points would outweigh as much of its 500.
const PREFERENCE_MARGIN: f64 = 0.5;

#[derive(Debug)]
pub(super) struct Shortlist<'q> {
    pod_request: &'q PodRequest,
    tolerations: &'q [Toleration<'q>],
    /// How far below the best score a node may be.
    margin: f64,
    scored: Vec<ScoredNode>,
}

#[derive(Clone, Copy, Debug)]
struct ScoredNode {
    score: f64,
    /// Index in the call.
    index: usize,
}

impl<'q> Shortlist<'q> {
    pub(super) fn new(pod_request: &'q PodRequest, pod: &'q Pod<'_>, capacity: usize) -> Self {
        Shortlist {
            pod_request,
            tolerations: &pod.spec.tolerations,
            margin: if pod.spec.has_preferences() {
                PREFERENCE_MARGIN
            } else {
                0.0
            },
            scored: Vec::with_capacity(capacity),
        }
    }

    /// Adds a node that fits.
    pub(super) fn add(&mut self, index: usize, node: &NodeEntry) {
        let discouraged = node.prefer_no_schedule && {
            let mut taints = node.taints.iter().filter(|taint| taint.is_soft());
            taints.any(|taint| !self.tolerations.iter().any(|toleration| toleration.tolerates(taint)))
        };
        // Nodes with an untolerated `PreferNoSchedule` taint come last.
        let score = node_score(node, self.pod_request) - f64::from(u8::from(discouraged));
        self.scored.push(ScoredNode { score, index });
    }

    /// The indices of at most `most` nodes within the margin, the best first. Equal nodes keep the
    /// scheduler's order, which rotates.
    pub(super) fn best(mut self, most: usize) -> Vec<usize> {
        let best = self
            .scored
            .iter()
            .map(|node| node.score)
            .fold(f64::NEG_INFINITY, f64::max);
        self.scored.retain(|node| node.score >= best - self.margin);
        let order = |a: &ScoredNode, b: &ScoredNode| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index));
        if self.scored.len() > most {
            self.scored.select_nth_unstable_by(most, order);
            self.scored.truncate(most);
        }
        self.scored.sort_unstable_by(order);
        self.scored.into_iter().map(|node| node.index).collect()
    }
}
