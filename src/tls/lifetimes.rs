//! The lifetimes of managed CAs and certificates, and the schedule of a rotation.

use std::time::Duration;

use jiff::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// How long an API server may use the old `caBundle` after a write. It watches the configuration,
/// which normally takes well under a second.
const SETTLE: Duration = Duration::from_secs(5);

/// How far clocks may differ. Certificates are backdated by it, and not relied on that long before
/// they expire.
const SKEW: Duration = Duration::from_hours(1);

/// The lifetimes of CAs and certificates, from which the other times follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    ca: Duration,
    leaf: Duration,
}

/// The lifetimes leave no time for a rotation.
#[derive(Debug, thiserror::Error)]
#[error("a CA lifetime of {ca:?} is too short for certificates of {leaf:?}; it must be at least four times as long")]
pub struct TooShort {
    ca: Duration,
    leaf: Duration,
}

impl Default for Lifetimes {
    /// A year for CAs: their key is in a Secret, so a stolen copy must expire, and a rotation every
    /// eight months shows that it works. 30 days for certificates: their keys never leave memory,
    /// and the API server may be away for ten days before one expires.
    fn default() -> Self {
        Lifetimes {
            ca: 365 * DAY,
            leaf: 30 * DAY,
        }
    }
}

impl Lifetimes {
    /// A rotation starts a third of the CA's lifetime before it expires; the overlap and one
    /// certificate lifetime must fit into that.
    pub fn new(ca: Duration, leaf: Duration) -> Result<Self, TooShort> {
        if leaf.is_zero() || ca < 4 * leaf {
            return Err(TooShort { ca, leaf });
        }
        Ok(Lifetimes { ca, leaf })
    }

    /// The lifetime of a CA.
    pub fn ca(&self) -> Duration {
        self.ca
    }

    /// The lifetime of a certificate.
    pub fn leaf(&self) -> Duration {
        self.leaf
    }

    /// How long before a CA expires the next one is published: four months of a year. All replicas
    /// may be away for so long.
    pub fn notice(&self) -> Duration {
        self.ca / 3
    }

    /// How long the next CA is published before it signs: a week of a year. API servers need
    /// seconds; callers that get the CAs by other means may need days.
    pub fn overlap(&self) -> Duration {
        self.ca / 52
    }

    /// How far clocks may differ. Less for short lifetimes, which only tests have.
    pub fn skew(&self) -> Duration {
        SKEW.min(self.leaf / 10)
    }

    /// How long API servers may use an outdated `caBundle`.
    pub fn settle(&self) -> Duration {
        SETTLE.min(self.leaf / 10)
    }

    /// The start of validity of a certificate created `now`: earlier, for callers whose clocks are
    /// behind.
    pub(super) fn begin(now: Timestamp) -> Timestamp {
        before(now, SKEW)
    }
}

/// Saturating addition.
pub(super) fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Saturating subtraction.
pub(super) fn before(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_fits_into_the_notice_period() {
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
