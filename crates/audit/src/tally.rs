//! Sums of what was used.

use super::device::Activity;
use super::report::Usage;
use super::trend::TrendMean;
use super::window::Window;

/// Sums over devices or holdings.
#[derive(Debug, Default)]
pub struct Tally {
    /// The sums, before [`Tally::done`].
    pub usage: Usage,
    weighted_mean: f64,
    /// Memory of the device on which the peak was, MiB.
    pub memory_total: Option<f64>,
    trend: TrendMean,
}

impl Tally {
    /// Adds what was held of `weight` GPUs at so much an hour.
    pub fn add(
        &mut self,
        window: &Window,
        activity: &Activity,
        weight: f64,
        price: Option<f64>,
        memory_total: Option<f64>,
    ) {
        let hours = window.hours(activity.steps) * weight;
        let idle = window.hours(activity.idle_steps) * weight;
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
            usage.wasted = Some(usage.wasted.unwrap_or(0.0) + idle * price);
        }
        self.trend.add(&activity.trend, weight);
    }

    /// The means as well.
    pub fn done(self) -> Usage {
        let mut usage = self.usage;
        usage.mean_percent = (usage.gpu_hours > 0.0).then(|| self.weighted_mean / usage.gpu_hours);
        usage.trend = self.trend.mean().0;
        usage
    }
}
