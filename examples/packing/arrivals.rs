//! A simulated month of jobs: their arrival times, requests and durations.

use super::rng::Rng;

/// Hours in the month.
pub(crate) const HOURS: f64 = 720.0;

#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Arrival time in hours.
    pub(crate) arrival: f64,
    /// Run time in hours, from the moment it has its GPUs.
    pub(crate) duration: f64,
    pub(crate) namespace: &'static str,
    /// The resource name after the webhook's rewrite.
    pub(crate) resource: &'static str,
    pub(crate) count: u64,
    /// CPU cores.
    pub(crate) cpu: f64,
    /// Memory in GiB.
    pub(crate) memory: f64,
}

/// Namespaces and the policies that govern them.
pub(crate) const NAMESPACES: [(&str, &str); 5] = [
    ("training", "training"),
    ("notebooks-a", "development"),
    ("notebooks-b", "development"),
    ("serving-a", "inference"),
    ("serving-b", "inference"),
];

/// Returns the jobs of the month, ordered by arrival.
///
/// The workload is invented, not measured: more jobs by day than by night; training jobs with one to
/// eight GPUs, half of them with one, that run for hours to days; notebooks that run for hours;
/// servers that run for days. CPU and memory are roughly proportional to the GPUs.
pub(crate) fn month(rng: &mut Rng) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut time = 0.0;
    while time < HOURS {
        let hour = time % 24.0;
        let rate = if (8.0..20.0).contains(&hour) { 1.6 } else { 0.5 };
        time += rng.exponential(1.0 / (7.0 * rate));
        jobs.push(job(time, rng));
    }
    jobs
}

fn job(arrival: f64, rng: &mut Rng) -> Job {
    let percentile = rng.below(100);
    let (namespace, resource, count, median_hours) = match percentile {
        0..30 => {
            let count = [1u32, 1, 1, 1, 2, 2, 4, 8][rng.index(8)];
            ("training", "nvidia.com/gpu", count, 6.0 + 2.0 * f64::from(count))
        }
        30..75 => (
            ["notebooks-a", "notebooks-b"][rng.index(2)],
            "nvidia.com/gpu.shared",
            1,
            5.0,
        ),
        _ => (
            ["serving-a", "serving-b"][rng.index(2)],
            "nvidia.com/gpu.shared",
            1,
            40.0,
        ),
    };
    let (cpu, memory) = if resource == "nvidia.com/gpu" {
        (8.0, 64.0)
    } else {
        (1.5, 6.0)
    };
    let gpus = f64::from(count);
    Job {
        arrival,
        duration: rng.lognormal(median_hours, 0.8),
        namespace,
        resource,
        count: count.into(),
        cpu: gpus * cpu * rng.between(0.6, 1.4),
        memory: gpus * memory * rng.between(0.6, 1.4),
    }
}
