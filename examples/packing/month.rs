//! Simulates one month with one way to choose nodes.

use std::collections::BTreeMap;

use apportion_core::policy::PolicySet;

use super::arrivals::{HOURS, Job};
use super::cluster::{Cluster, GPUS_PER_TRAINING_NODE, Scoring};

pub(crate) struct Month {
    /// For each hour, the free GPUs on partly used training nodes, which whole-node jobs cannot use.
    pub(crate) stranded: Vec<u64>,
    /// Mean wait of jobs that need all GPUs of a node, in hours.
    pub(crate) whole_node_wait: f64,
    /// Mean wait of training jobs that need fewer GPUs, in hours.
    pub(crate) smaller_wait: f64,
    /// Mean number of nodes with shared GPUs that have no pod, and so could be scaled down.
    pub(crate) empty_shared_nodes: f64,
}

impl Month {
    #[allow(clippy::cast_precision_loss, reason = "hundreds")]
    pub(crate) fn stranded_mean(&self) -> f64 {
        self.stranded.iter().sum::<u64>() as f64 / self.stranded.len().max(1) as f64
    }
}

/// Simulates a month. A job that fits nowhere waits and is retried in order of arrival whenever
/// another job ends, as kube-scheduler does for pods of equal priority.
pub(crate) fn run(jobs: &[Job], policies: PolicySet, scoring: Scoring) -> anyhow::Result<Month> {
    let mut cluster = Cluster::new(policies);
    let mut waiting: Vec<usize> = Vec::new();
    // The node of each running job, by end time (in microhours) and job.
    let mut ends: BTreeMap<(u64, usize), String> = BTreeMap::new();
    let mut stranded = Vec::new();
    let mut empty_nodes = 0u64;
    // Of whole-node jobs, and of smaller training jobs.
    let mut waits: [Vec<f64>; 2] = Default::default();
    let mut arrivals = jobs.iter().enumerate().peekable();
    let mut hour = 0u32;
    while f64::from(hour) < HOURS {
        let arrival = arrivals.peek().map_or(f64::INFINITY, |(_, job)| job.arrival);
        let end = ends
            .first_key_value()
            .map_or(f64::INFINITY, |(&(end, _), _)| hours(end));
        let next_hour = f64::from(hour) + 1.0;
        let now = arrival.min(end).min(next_hour);
        if next_hour <= now {
            hour += 1;
            stranded.push(stranded_gpus(&cluster));
            empty_nodes += empty_shared_nodes(&cluster);
            continue;
        }
        if end <= now {
            if let Some(((_, id), node)) = ends.pop_first() {
                cluster.remove(id, &jobs[id], &node);
            }
        } else if let Some((id, _)) = arrivals.next() {
            waiting.push(id);
        }
        // An equal job fails as well, so it is not tried.
        let mut failed: Vec<(&str, u64)> = Vec::new();
        let mut still_waiting = Vec::new();
        for id in std::mem::take(&mut waiting) {
            let job = &jobs[id];
            let shape = (job.namespace, job.count);
            if failed.contains(&shape) {
                still_waiting.push(id);
                continue;
            }
            let Some(node) = cluster.place(id, job, scoring)? else {
                failed.push(shape);
                still_waiting.push(id);
                continue;
            };
            if job.resource == "nvidia.com/gpu" {
                waits[usize::from(job.count < GPUS_PER_TRAINING_NODE)].push(now - job.arrival);
            }
            ends.insert((microhours(now + job.duration), id), node);
        }
        waiting = still_waiting;
    }
    // Jobs that still wait have waited until the end of the month.
    for id in waiting.into_iter().filter(|id| jobs[*id].resource == "nvidia.com/gpu") {
        waits[usize::from(jobs[id].count < GPUS_PER_TRAINING_NODE)].push(HOURS - jobs[id].arrival);
    }
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let mean = |waits: &[f64]| waits.iter().sum::<f64>() / waits.len().max(1) as f64;
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let empty_shared_nodes = empty_nodes as f64 / HOURS;
    Ok(Month {
        stranded,
        whole_node_wait: mean(&waits[0]),
        smaller_wait: mean(&waits[1]),
        empty_shared_nodes,
    })
}

fn stranded_gpus(cluster: &Cluster) -> u64 {
    let training = cluster.inventory().nodes().filter(|node| node.name.starts_with("a100"));
    let free = training.filter_map(|node| node.offers.offers.first().map(|offer| node.free(offer)));
    free.filter(|free| *free < GPUS_PER_TRAINING_NODE).sum()
}

fn empty_shared_nodes(cluster: &Cluster) -> u64 {
    let shared = cluster
        .inventory()
        .nodes()
        .filter(|node| !node.name.starts_with("a100"));
    shared.filter(|node| node.usage.is_empty()).count() as u64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "thousands of hours, never negative"
)]
fn microhours(hours: f64) -> u64 {
    (hours * 1e6) as u64
}

#[allow(clippy::cast_precision_loss, reason = "below 2^52")]
fn hours(microhours: u64) -> f64 {
    microhours as f64 / 1e6
}
