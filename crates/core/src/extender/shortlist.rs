//! The few of the nodes that fit which the scheduler is left to choose from.
//!
//! The scheduler decodes and scores what it is answered, so a short answer is a fast one; and what is not in it can not be chosen, so the
//! answer packs, without a second call to `/prioritize`.

use super::prioritize::worth;
use crate::inventory::{NodeEntry, PodRequest};
use crate::k8s::{Pod, Toleration};

/// How much worse than the best a node may be that a pod is given to choose from, where it prefers some nodes to others: beside
/// `/prioritize` at weight 5, in-tree preferences of 200 to 300 points would tip as much of its 500.
const CHOICE: f64 = 0.5;

/// The nodes that fit, and how good they are.
#[derive(Debug)]
pub(super) struct Shortlist<'q> {
    pod_request: &'q PodRequest,
    tolerations: &'q [Toleration<'q>],
    /// How much worse than the best a node may be.
    choice: f64,
    fits: Vec<Fit>,
}

#[derive(Clone, Copy, Debug)]
struct Fit {
    worth: f64,
    /// Its place in the question.
    at: usize,
}

impl<'q> Shortlist<'q> {
    pub(super) fn new(pod_request: &'q PodRequest, pod: &'q Pod<'_>, capacity: usize) -> Self {
        Shortlist {
            pod_request,
            tolerations: &pod.spec.tolerations,
            choice: if pod.spec.has_preferences() { CHOICE } else { 0.0 },
            fits: Vec::with_capacity(capacity),
        }
    }

    /// A node that fits.
    pub(super) fn add(&mut self, at: usize, node: &NodeEntry) {
        let discouraged = node.spared && {
            let mut taints = node.taints.iter().filter(|taint| taint.discourages());
            taints.any(|taint| !self.tolerations.iter().any(|toleration| toleration.tolerates(taint)))
        };
        // Those that somebody would have spared come last.
        let worth = worth(node, self.pod_request) - f64::from(u8::from(discouraged));
        self.fits.push(Fit { worth, at });
    }

    /// The best by their places, the best first: as good as the best, or nearly where the pod has preferences, and `most` of them. Among
    /// equals the scheduler's own rotation is kept.
    pub(super) fn best(mut self, most: usize) -> Vec<usize> {
        let best = self.fits.iter().map(|fit| fit.worth).fold(f64::NEG_INFINITY, f64::max);
        self.fits.retain(|fit| fit.worth >= best - self.choice);
        let better = |a: &Fit, b: &Fit| b.worth.total_cmp(&a.worth).then(a.at.cmp(&b.at));
        if self.fits.len() > most {
            self.fits.select_nth_unstable_by(most, better);
            self.fits.truncate(most);
        }
        self.fits.sort_unstable_by(better);
        self.fits.into_iter().map(|fit| fit.at).collect()
    }
}
