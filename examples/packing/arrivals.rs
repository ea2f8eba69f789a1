//! A made-up month: who comes when, with what, for how long.

use super::dice::Dice;

/// Hours in the month.
pub(crate) const HOURS: f64 = 720.0;

/// What somebody wants to run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// When it comes, in hours.
    pub(crate) at: f64,
    /// For how long it runs once it has its GPUs, in hours.
    pub(crate) lasts: f64,
    /// The namespace, which is also the name of the policy and, for shares, the team.
    pub(crate) namespace: &'static str,
    /// The resource that the webhook has named.
    pub(crate) resource: &'static str,
    /// How many of it.
    pub(crate) count: u64,
    /// Cores.
    pub(crate) cpu: f64,
    /// GiB of memory.
    pub(crate) memory: f64,
}

/// The namespaces, with their policies.
pub(crate) const NAMESPACES: [(&str, &str); 5] = [
    ("training", "training"),
    ("notebooks-a", "development"),
    ("notebooks-b", "development"),
    ("serving-a", "inference"),
    ("serving-b", "inference"),
];

/// All jobs of the month, in the order of their arrival.
///
/// Made up: more by day than by night, training for one to eight GPUs (as many jobs of one as of all others together), with hours to days
/// each; notebooks for some hours; servers for days. CPU and memory go with the GPUs, roughly.
pub(crate) fn month(dice: &mut Dice) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut at = 0.0;
    while at < HOURS {
        let hour = at % 24.0;
        let busy = if (8.0..20.0).contains(&hour) { 1.6 } else { 0.5 };
        at += dice.exponential(1.0 / (7.0 * busy));
        jobs.push(job(at, dice));
    }
    jobs
}

fn job(at: f64, dice: &mut Dice) -> Job {
    let kind = dice.below(100);
    let (namespace, resource, count, hours) = match kind {
        0..30 => {
            let count = [1, 1, 1, 1, 2, 2, 4, 8][dice.index(8)];
            ("training", "nvidia.com/gpu", count, 6.0 + 2.0 * count_as_hours(count))
        }
        30..75 => (
            ["notebooks-a", "notebooks-b"][dice.index(2)],
            "nvidia.com/gpu.shared",
            1,
            5.0,
        ),
        _ => (
            ["serving-a", "serving-b"][dice.index(2)],
            "nvidia.com/gpu.shared",
            1,
            40.0,
        ),
    };
    let each = if resource == "nvidia.com/gpu" {
        (8.0, 64.0)
    } else {
        (1.5, 6.0)
    };
    #[allow(clippy::cast_precision_loss, reason = "at most 8")]
    let gpus = count as f64;
    Job {
        at,
        lasts: dice.lognormal(hours, 0.8),
        namespace,
        resource,
        count,
        cpu: gpus * each.0 * dice.between(0.6, 1.4),
        memory: gpus * each.1 * dice.between(0.6, 1.4),
    }
}

fn count_as_hours(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
