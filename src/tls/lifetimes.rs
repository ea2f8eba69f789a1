//! How long what Apportion signs for itself is valid, and how the times of a rollover follow from that.

use std::time::Duration;

use jiff::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// How long after a write of the `caBundle` an API server may still use what was there before. It follows the
/// configuration by a watch, which takes well under a second where it is healthy.
const SETTLE: Duration = Duration::from_secs(5);

/// By how much clocks may differ. Certificates begin so much before they are made, and nothing is counted on in the
/// last so much of a life.
const SKEW: Duration = Duration::from_hours(1);

/// How long certificates live. Everything else follows: see the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    ca: Duration,
    leaf: Duration,
}

/// Lifetimes that leave no room for a rollover.
#[derive(Debug, thiserror::Error)]
#[error("an authority of {ca:?} is too short for certificates of {leaf:?}; it must live at least four times as long")]
pub struct TooShort {
    ca: Duration,
    leaf: Duration,
}

impl Default for Lifetimes {
    /// An authority of a year: its key lies in a Secret, so a copy of it must not be good for ever, and a rollover that
    /// happens every eight months is one that is known to work. Certificates of 30 days: their keys never leave memory,
    /// and an API server that is away may stay away for ten days before anything ends.
    fn default() -> Self {
        Lifetimes {
            ca: 365 * DAY,
            leaf: 30 * DAY,
        }
    }
}

impl Lifetimes {
    /// Lifetimes of authorities and certificates. Between the start of a rollover and the old authority's end lies a
    /// third of its life, in which the overlap and one whole life of a certificate must fit.
    pub fn new(ca: Duration, leaf: Duration) -> Result<Self, TooShort> {
        if leaf.is_zero() || ca < 4 * leaf {
            return Err(TooShort { ca, leaf });
        }
        Ok(Lifetimes { ca, leaf })
    }

    /// How long an authority lives.
    pub fn ca(&self) -> Duration {
        self.ca
    }

    /// How long a certificate lives.
    pub fn leaf(&self) -> Duration {
        self.leaf
    }

    /// How long before an authority ends its successor is published: four months of a year. So long may every replica
    /// be away before one is found expired.
    pub fn notice(&self) -> Duration {
        self.ca / 3
    }

    /// How long a successor is published before it signs: a week of a year. API servers need seconds; the rest is for
    /// callers whose copy of the authorities is brought by other means, or by replicas that were cut off for a while.
    pub fn overlap(&self) -> Duration {
        self.ca / 52
    }

    /// By how much clocks may differ. Short lives, which only tests have, get by with less.
    pub fn skew(&self) -> Duration {
        SKEW.min(self.leaf / 10)
    }

    /// How long the callers' copy of the `caBundle` may be older than the `caBundle`.
    pub fn settle(&self) -> Duration {
        SETTLE.min(self.leaf / 10)
    }

    /// When something made at `now` begins: earlier, for callers whose clocks are behind.
    pub(super) fn begin(now: Timestamp) -> Timestamp {
        before(now, SKEW)
    }
}

/// `duration` after `at`, or the end of time.
pub(super) fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// `duration` before `at`, or the beginning of time.
pub(super) fn before(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollover_fits_between_its_start_and_the_end_of_the_old_authority() {
        let shortest = Lifetimes::new(4 * DAY, DAY).unwrap();
        for lifetimes in [Lifetimes::default(), shortest] {
            let needed = lifetimes.overlap() + lifetimes.leaf() + lifetimes.skew();
            assert!(needed <= lifetimes.notice(), "{lifetimes:?}: {needed:?}");
            assert!(lifetimes.settle() < lifetimes.overlap(), "{lifetimes:?}");
        }
        assert!(Lifetimes::new(3 * DAY, DAY).is_err());
        assert!(Lifetimes::new(DAY, Duration::ZERO).is_err());
    }
}
