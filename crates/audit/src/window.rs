//! The time window of a report, divided into steps.

use std::fmt;

use jiff::Timestamp;

/// Most buckets of a timeline. 56 fit on one line of a terminal after a name.
const MAX_BUCKETS: u64 = 56;

/// A time range of whole steps. The value of a step is the sample that is current at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Seconds since the epoch; a multiple of the step.
    end: i64,
    /// Seconds per step.
    step: u64,
    /// Number of steps.
    steps: u64,
}

/// Why a window is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    #[error("a step of 0 s measures nothing; write one such as 5m")]
    NoStep,
    #[error("a window of {window} s holds fewer than 2 steps of {step} s; widen --window or shorten --step")]
    TooShort { window: u64, step: u64 },
    /// Prometheus limits the number of points per series.
    #[error("{steps} steps exceed Prometheus' limit of 11000 points per series; lengthen --step")]
    TooMany { steps: u64 },
}

impl Window {
    /// Returns the window of `length` seconds that ends at the last multiple of `step` up to `now`.
    pub fn before(now: Timestamp, length: u64, step: u64) -> Result<Self, WindowError> {
        let seconds = i64::try_from(step)
            .ok()
            .filter(|step| *step > 0)
            .ok_or(WindowError::NoStep)?;
        let steps = length / step;
        if steps < 2 {
            return Err(WindowError::TooShort { window: length, step });
        }
        if steps > 11_000 {
            return Err(WindowError::TooMany { steps });
        }
        let end = now.as_second().div_euclid(seconds) * seconds;
        Ok(Window { end, step, steps })
    }

    /// Seconds since the epoch.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Seconds since the epoch.
    pub fn start(&self) -> i64 {
        self.end - i64::try_from(self.seconds()).unwrap_or(i64::MAX)
    }

    /// The length in seconds.
    pub fn seconds(&self) -> u64 {
        self.steps * self.step
    }

    /// Seconds per step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Number of steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Converts steps to hours.
    pub fn hours(&self, steps: f64) -> f64 {
        steps * real(self.step) / 3600.0
    }

    /// The number of steps that start at `time` (seconds since the epoch) or later.
    pub fn steps_since(&self, time: i64) -> u64 {
        let from = time.max(self.start());
        let left = u64::try_from(self.end - from).unwrap_or(0);
        left / self.step
    }

    /// Steps per bucket of a timeline.
    pub fn bucket_steps(&self) -> u64 {
        self.steps.div_ceil(MAX_BUCKETS)
    }

    /// The number of whole buckets, which are aligned to the end of the window.
    pub fn buckets(&self) -> usize {
        usize::try_from(self.steps / self.bucket_steps()).unwrap_or(0)
    }

    /// Seconds per bucket.
    pub fn bucket_seconds(&self) -> u64 {
        self.bucket_steps() * self.step
    }

    /// The end of the first bucket, in seconds since the epoch.
    pub fn first_bucket_end(&self) -> i64 {
        let after = self.bucket_seconds() * (self.buckets() as u64).saturating_sub(1);
        self.end - i64::try_from(after).unwrap_or(0)
    }

    /// The index of the bucket that ends at `end`.
    pub fn bucket_index(&self, end: i64) -> Option<usize> {
        let after = u64::try_from(end - self.first_bucket_end()).ok()?;
        let index = usize::try_from(after / self.bucket_seconds()).ok()?;
        (index < self.buckets()).then_some(index)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", rfc3339(self.start()), rfc3339(self.end))
    }
}

/// Formats seconds since the epoch as RFC 3339.
pub fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Converts a count for arithmetic. Counts in this crate stay far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_ends_at_a_multiple_of_the_step() {
        let window = Window::before(Timestamp::from_second(1_000_000).unwrap(), 604_800, 300).unwrap();
        assert_eq!((window.end(), window.steps()), (999_900, 2016));
        assert_eq!((window.buckets(), window.bucket_seconds()), (56, 10_800));
        assert_eq!(window.first_bucket_end(), window.start() + 10_800);
        assert_eq!(window.bucket_index(window.first_bucket_end()), Some(0));
        assert_eq!(window.bucket_index(window.end()), Some(55));
        assert_eq!(window.bucket_index(window.end() + 10_800), None);
        assert_eq!(window.bucket_index(0), None);
    }

    #[test]
    fn steps_since_counts_steps_that_start_in_time() {
        let window = Window::before(Timestamp::from_second(6000).unwrap(), 3000, 300).unwrap();
        for (time, steps) in [(0, 10), (3000, 10), (3001, 9), (5700, 1), (5701, 0), (9000, 0)] {
            assert_eq!(window.steps_since(time), steps, "{time}");
        }
    }

    #[test]
    fn invalid_windows_are_rejected() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (length, step, words) in [(100, 0, "--step"), (500, 300, "--window"), (86_400, 1, "lengthen")] {
            let error = Window::before(now, length, step);
            assert!(
                error.as_ref().is_err_and(|error| error.to_string().contains(words))
                    || (step == 0 && error == Err(WindowError::NoStep)),
                "{length} {step}: {error:?}"
            );
        }
    }
}
