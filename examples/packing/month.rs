//! One month under one way to score.

use std::collections::BTreeMap;

use apportion_core::policy::PolicySet;

use super::arrivals::{HOURS, Job};
use super::cluster::{BIG, Cluster, Scoring};

/// What became of a month.
pub(crate) struct Month {
    /// Each hour, GPUs of training nodes that are free and that a job for a whole node can not use.
    pub(crate) stranded: Vec<u64>,
    /// Mean wait of jobs that need all GPUs of a node, in hours.
    pub(crate) wait_whole_node: f64,
    /// Mean wait of training jobs that need fewer.
    pub(crate) wait_less: f64,
    /// Mean number of nodes for shares that hold none, and so can be given to others or turned off.
    pub(crate) empty_share_nodes: f64,
}

impl Month {
    /// The mean over all hours.
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    pub(crate) fn stranded_mean(&self) -> f64 {
        self.stranded.iter().sum::<u64>() as f64 / self.stranded.len().max(1) as f64
    }
}

/// Runs a month. Whoever can not be placed waits, and is tried again in the order of arrival whenever somebody leaves, as kube-scheduler
/// does for pods of one priority.
pub(crate) fn run(jobs: &[Job], policies: PolicySet, scoring: Scoring) -> anyhow::Result<Month> {
    let mut cluster = Cluster::new(policies);
    let mut waiting: Vec<usize> = Vec::new();
    // Ends, by time in microhours and job.
    let mut ends: BTreeMap<(u64, usize), String> = BTreeMap::new();
    let mut stranded = Vec::new();
    let mut empty = 0u64;
    let mut waits: [Vec<f64>; 2] = Default::default();
    let mut arrivals = jobs.iter().enumerate().peekable();
    let mut hour = 0u32;
    while f64::from(hour) < HOURS {
        let arrival = arrivals.peek().map_or(f64::INFINITY, |(_, job)| job.at);
        let end = ends.first_key_value().map_or(f64::INFINITY, |(&(at, _), _)| hours(at));
        let mark = f64::from(hour) + 1.0;
        let now = arrival.min(end).min(mark);
        if mark <= now {
            hour += 1;
            stranded.push(stranded_now(&cluster));
            empty += empty_now(&cluster);
            continue;
        }
        if end <= now {
            if let Some(((_, id), node)) = ends.pop_first() {
                cluster.end(id, &jobs[id], &node);
            }
        } else if let Some((id, _)) = arrivals.next() {
            waiting.push(id);
        }
        // A job like one that just failed fails, too.
        let mut failed: Vec<(&str, u64)> = Vec::new();
        let mut still = Vec::new();
        for id in std::mem::take(&mut waiting) {
            let job = &jobs[id];
            let alike = (job.namespace, job.count);
            if failed.contains(&alike) {
                still.push(id);
                continue;
            }
            let Some(node) = cluster.place(id, job, scoring)? else {
                failed.push(alike);
                still.push(id);
                continue;
            };
            if job.resource == "nvidia.com/gpu" {
                waits[usize::from(job.count < BIG)].push(now - job.at);
            }
            ends.insert((microhours(now + job.lasts), id), node);
        }
        waiting = still;
    }
    // Who still waits has waited until now.
    for id in waiting.into_iter().filter(|id| jobs[*id].resource == "nvidia.com/gpu") {
        waits[usize::from(jobs[id].count < BIG)].push(HOURS - jobs[id].at);
    }
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let mean = |waits: &[f64]| waits.iter().sum::<f64>() / waits.len().max(1) as f64;
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let empty_share_nodes = empty as f64 / HOURS;
    Ok(Month {
        stranded,
        wait_whole_node: mean(&waits[0]),
        wait_less: mean(&waits[1]),
        empty_share_nodes,
    })
}

fn stranded_now(cluster: &Cluster) -> u64 {
    let big = cluster.inventory().nodes().filter(|node| node.name.starts_with("a100"));
    let free = big.filter_map(|node| node.offers.offers.first().map(|offer| node.free(offer)));
    free.filter(|free| *free < BIG).sum()
}

fn empty_now(cluster: &Cluster) -> u64 {
    let small = cluster
        .inventory()
        .nodes()
        .filter(|node| !node.name.starts_with("a100"));
    small.filter(|node| node.held.is_empty()).count() as u64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few thousand hours, never negative"
)]
fn microhours(hours: f64) -> u64 {
    (hours * 1e6) as u64
}

#[allow(clippy::cast_precision_loss, reason = "below 2^52")]
fn hours(microhours: u64) -> f64 {
    microhours as f64 / 1e6
}
