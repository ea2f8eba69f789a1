//! Sums of usage over devices or allocations.

use super::device::Activity;
use super::report::Usage;
use super::timeline::TimelineMean;
use super::window::Window;

#[derive(Debug, Default)]
pub struct UsageSum {
    /// The sums so far, without the means that [`UsageSum::finish`] adds.
    pub usage: Usage,
    /// Mean utilization times GPU hours.
    weighted_mean: f64,
    /// Total memory of the device with the memory peak, MiB.
    pub memory_total: Option<f64>,
    timeline: TimelineMean,
}

impl UsageSum {
    /// Adds the activity of `gpus` GPUs (or a fraction of one) at `price` per GPU hour.
    pub fn add(
        &mut self,
        window: &Window,
        activity: &Activity,
        gpus: f64,
        price: Option<f64>,
        memory_total: Option<f64>,
    ) {
        let hours = window.hours(activity.steps) * gpus;
        let idle = window.hours(activity.idle_steps) * gpus;
        let usage = &mut self.usage;
        usage.gpu_hours += hours;
        usage.idle_hours += idle;
        self.weighted_mean += activity.mean * hours;
        if activity.steps > 0.0 {
            usage.p95_percent = Some(usage.p95_percent.map_or(activity.p95, |most| most.max(activity.p95)));
        }
        if activity.memory_peak > usage.memory_peak_mebibytes {
            (usage.memory_peak_mebibytes, self.memory_total) = (activity.memory_peak, memory_total);
        }
        if let Some(price) = price {
            usage.cost = Some(usage.cost.unwrap_or(0.0) + hours * price);
            usage.idle_cost = Some(usage.idle_cost.unwrap_or(0.0) + idle * price);
        }
        self.timeline.add(&activity.timeline, gpus);
    }

    pub fn finish(self) -> Usage {
        let mut usage = self.usage;
        usage.mean_percent = (usage.gpu_hours > 0.0).then(|| self.weighted_mean / usage.gpu_hours);
        usage.timeline = self.timeline.mean().0;
        usage
    }
}
