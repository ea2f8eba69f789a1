//! Utilization over time, in a few dozen buckets.

use super::window::Window;

/// Means of utilization, the oldest first; a bucket without any sample is `None`. Empty where nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trend(pub Vec<Option<f64>>);

impl Trend {
    /// Puts the value that was asked for at `at` into its bucket.
    pub fn put(&mut self, window: &Window, at: i64, value: f64) {
        if let Some(place) = window.bucket_of(at) {
            self.0.resize(window.buckets(), None);
            self.0[place] = Some(value);
        }
    }

    /// Whether there is any value.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// The mean of several trends, each with a weight.
#[derive(Clone, Debug, Default)]
pub struct TrendMean {
    sums: Vec<(f64, f64)>,
}

impl TrendMean {
    /// Adds a trend.
    pub fn add(&mut self, trend: &Trend, weight: f64) {
        if self.sums.len() < trend.0.len() {
            self.sums.resize(trend.0.len(), (0.0, 0.0));
        }
        for (sum, value) in self.sums.iter_mut().zip(&trend.0) {
            if let Some(value) = value {
                sum.0 += value * weight;
                sum.1 += weight;
            }
        }
    }

    /// The mean of each bucket.
    pub fn mean(&self) -> Trend {
        let mean = |(sum, weight): &(f64, f64)| (*weight > 0.0).then(|| sum / weight);
        Trend(self.sums.iter().map(mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_without_samples_do_not_pull_down() {
        let mut mean = TrendMean::default();
        mean.add(&Trend(vec![Some(10.0), None, None]), 1.0);
        mean.add(&Trend(vec![Some(40.0), Some(40.0), None]), 2.0);
        assert_eq!(mean.mean(), Trend(vec![Some(30.0), Some(40.0), None]));
    }
}
