//! Utilization over time, in a few dozen buckets.

use super::window::Window;

/// Mean utilization by bucket, oldest first. A bucket without samples is `None`; without any
/// samples the list is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline(pub Vec<Option<f64>>);

impl Timeline {
    /// Sets the bucket that ends at `end` (seconds since the epoch).
    pub fn set(&mut self, window: &Window, end: i64, value: f64) {
        if let Some(index) = window.bucket_index(end) {
            self.0.resize(window.buckets(), None);
            self.0[index] = Some(value);
        }
    }
}

/// The weighted mean of several timelines.
#[derive(Clone, Debug, Default)]
pub struct TimelineMean {
    /// For each bucket, the weighted sum and the sum of the weights.
    sums: Vec<(f64, f64)>,
}

impl TimelineMean {
    pub fn add(&mut self, timeline: &Timeline, weight: f64) {
        if self.sums.len() < timeline.0.len() {
            self.sums.resize(timeline.0.len(), (0.0, 0.0));
        }
        for ((sum, weights), value) in self.sums.iter_mut().zip(&timeline.0) {
            if let Some(value) = value {
                *sum += value * weight;
                *weights += weight;
            }
        }
    }

    pub fn mean(&self) -> Timeline {
        let mean = |(sum, weights): &(f64, f64)| (*weights > 0.0).then(|| sum / weights);
        Timeline(self.sums.iter().map(mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_without_samples_do_not_lower_the_mean() {
        let mut mean = TimelineMean::default();
        mean.add(&Timeline(vec![Some(10.0), None, None]), 1.0);
        mean.add(&Timeline(vec![Some(40.0), Some(40.0), None]), 2.0);
        assert_eq!(mean.mean(), Timeline(vec![Some(30.0), Some(40.0), None]));
    }
}
