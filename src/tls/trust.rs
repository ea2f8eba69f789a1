//! When callers trust the CA that signs: they would reject its certificates earlier.

use std::time::Duration;

use jiff::Timestamp;

use super::authority::Authority;
use super::ca::CaCertificate;
use super::lifetimes::{Lifetimes, after};

/// The `caBundle` that callers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleState {
    /// The configuration does not exist, so there are no callers.
    Absent,
    /// It already had all CAs.
    Current,
    /// It has them now.
    Written,
}

/// Delays a certificate until callers trust its CA.
#[derive(Debug, Default)]
pub struct TrustDelay {
    /// The CA, and since when its certificate has been in the `caBundle`.
    published: Option<(CaCertificate, Timestamp)>,
}

impl TrustDelay {
    /// How long a certificate of the signing CA must wait before it is served. Zero if it need not
    /// wait.
    pub fn wait(
        &mut self,
        authority: &Authority,
        bundle: BundleState,
        now: Timestamp,
        lifetimes: &Lifetimes,
    ) -> Duration {
        if bundle == BundleState::Absent {
            self.published = None;
            return Duration::ZERO;
        }
        let signing = authority.signing().cert();
        let known = match self.published.take() {
            // A clock that was set back must not extend the wait.
            Some((cert, since)) if cert == *signing && bundle == BundleState::Current => Some(since.min(now)),
            _ => None,
        };
        let since = known.unwrap_or_else(|| match bundle {
            // Another replica published it at an unknown time, but not just now if the CA is not
            // new.
            BundleState::Current if now >= after(authority.signing_since(), lifetimes.overlap()) => {
                authority.signing_since()
            }
            _ => now,
        });
        self.published = Some((signing.clone(), since));
        let may = after(since, lifetimes.settle());
        Duration::try_from(may.duration_since(now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::authority::Plan;

    #[test]
    fn a_certificate_waits_until_callers_trust_its_ca() {
        let lifetimes = Lifetimes::default();
        let made: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let at = |second: i64| Timestamp::from_second(made.as_second() + second).unwrap();
        let first = Plan::Create.apply(None, made, &lifetimes).unwrap();
        let settle = lifetimes.settle().as_secs();
        let mut delay = TrustDelay::default();
        let second = Plan::Create.apply(None, at(300), &lifetimes).unwrap();
        for (case, authority, bundle, now, wait) in [
            ("no callers", &first, BundleState::Absent, 0, 0),
            ("published", &first, BundleState::Written, 0, settle),
            (
                "API servers may not have it yet",
                &first,
                BundleState::Current,
                2,
                settle - 2,
            ),
            ("API servers have it", &first, BundleState::Current, 5, 0),
            ("the clock was set back", &first, BundleState::Current, -10, settle),
            ("still published", &first, BundleState::Current, 60, 0),
            ("removed by another writer", &first, BundleState::Written, 90, settle),
            ("published again", &first, BundleState::Current, 100, 0),
            (
                "another CA, published by another replica",
                &second,
                BundleState::Current,
                301,
                settle,
            ),
            ("API servers have that", &second, BundleState::Current, 306, 0),
        ] {
            let waited = delay.wait(authority, bundle, at(now), &lifetimes);
            assert_eq!(waited, Duration::from_secs(wait), "{case}");
        }
        let week = i64::try_from(lifetimes.overlap().as_secs()).unwrap();
        let late = |now| TrustDelay::default().wait(&first, BundleState::Current, at(now), &lifetimes);
        assert_eq!(late(60), lifetimes.settle(), "it may have been published just now");
        assert_eq!(
            late(week + 1),
            Duration::ZERO,
            "a replica that starts later does not wait"
        );
    }
}
