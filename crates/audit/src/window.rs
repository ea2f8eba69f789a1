//! The time that is looked at, cut into steps.

use std::fmt;

use jiff::Timestamp;

/// Buckets of a trend at most: as many as a line of a terminal shows beside a name.
const TREND_BUCKETS: u64 = 56;

/// A stretch of time in whole steps. Each step stands for the sample that is current when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Seconds since 1970 at which it ends; a multiple of the step.
    end: i64,
    /// Seconds of a step.
    step: u64,
    /// How many steps it has.
    steps: u64,
}

/// Why there is no such window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A step must last.
    #[error("a step of 0 s measures nothing; write one such as 5m")]
    NoStep,
    /// Too short to measure anything in.
    #[error("a window of {window} s holds fewer than 2 steps of {step} s; widen --window or shorten --step")]
    TooShort {
        /// Seconds.
        window: u64,
        /// Seconds.
        step: u64,
    },
    /// More than a server lets one subquery have.
    #[error("{steps} steps are more than Prometheus answers in one series (11000); lengthen --step")]
    TooMany {
        /// The steps.
        steps: u64,
    },
}

impl Window {
    /// The window of `length` seconds that ends at the last whole step before `now`.
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

    /// When it ends, seconds since 1970.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// When it begins, seconds since 1970.
    pub fn start(&self) -> i64 {
        self.end - i64::try_from(self.seconds()).unwrap_or(i64::MAX)
    }

    /// How long it is, in seconds.
    pub fn seconds(&self) -> u64 {
        self.steps * self.step
    }

    /// Seconds of a step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// How many steps it has.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Hours of `steps` steps.
    pub fn hours(&self, steps: f64) -> f64 {
        steps * real(self.step) / 3600.0
    }

    /// Steps from a moment to the end: those that begin at it or later.
    pub fn steps_since(&self, moment: i64) -> u64 {
        let from = moment.max(self.start());
        let left = u64::try_from(self.end - from).unwrap_or(0);
        left / self.step
    }

    /// Steps in one bucket of a trend.
    pub fn bucket_steps(&self) -> u64 {
        self.steps.div_ceil(TREND_BUCKETS)
    }

    /// Whole buckets, counted back from the end.
    pub fn buckets(&self) -> usize {
        usize::try_from(self.steps / self.bucket_steps()).unwrap_or(0)
    }

    /// Seconds of one bucket.
    pub fn bucket_seconds(&self) -> u64 {
        self.bucket_steps() * self.step
    }

    /// When the first bucket of a trend ends.
    pub fn first_bucket_end(&self) -> i64 {
        let after = self.bucket_seconds() * (self.buckets() as u64).saturating_sub(1);
        self.end - i64::try_from(after).unwrap_or(0)
    }

    /// The place in a trend of the bucket that ends at `at`.
    pub fn bucket_of(&self, at: i64) -> Option<usize> {
        let after = u64::try_from(at - self.first_bucket_end()).ok()?;
        let place = usize::try_from(after / self.bucket_seconds()).ok()?;
        (place < self.buckets()).then_some(place)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", moment(self.start()), moment(self.end))
    }
}

/// A moment as people and programs read it.
pub fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// A count as a number to reckon with. Counts here stay far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_at_a_whole_step() {
        let window = Window::before(Timestamp::from_second(1_000_000).unwrap(), 604_800, 300).unwrap();
        assert_eq!((window.end(), window.steps()), (999_900, 2016));
        assert_eq!((window.buckets(), window.bucket_seconds()), (56, 10_800));
        assert_eq!(window.first_bucket_end(), window.start() + 10_800);
        assert_eq!(window.bucket_of(window.first_bucket_end()), Some(0));
        assert_eq!(window.bucket_of(window.end()), Some(55));
        assert_eq!(window.bucket_of(window.end() + 10_800), None);
        assert_eq!(window.bucket_of(0), None);
    }

    #[test]
    fn steps_that_begin_in_time_count() {
        let window = Window::before(Timestamp::from_second(6000).unwrap(), 3000, 300).unwrap();
        for (moment, steps) in [(0, 10), (3000, 10), (3001, 9), (5700, 1), (5701, 0), (9000, 0)] {
            assert_eq!(window.steps_since(moment), steps, "{moment}");
        }
    }

    #[test]
    fn what_measures_nothing_is_refused() {
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
