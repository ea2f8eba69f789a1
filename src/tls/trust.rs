//! Since when callers trust the authority that signs: a certificate of another would be refused.

use std::time::Duration;

use jiff::Timestamp;

use super::authority::Authority;
use super::ca::Trusted;
use super::lifetimes::{Lifetimes, after};

/// What was found where callers take their authorities from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// There is no such place, so nobody calls.
    Absent,
    /// It held them all.
    Held,
    /// It did not, and does now.
    Written,
}

/// Follows one authority.
#[derive(Debug, Default)]
pub struct Trust {
    /// The authority, and since when callers can be counted on to be told of it.
    told: Option<(Trusted, Timestamp)>,
}

impl Trust {
    /// How long a certificate of the authority that signs must wait before it is shown, after this `sight` at `now`. Zero
    /// means that it may be shown.
    pub fn wait(&mut self, authority: &Authority, sight: Sight, now: Timestamp, lifetimes: &Lifetimes) -> Duration {
        if sight == Sight::Absent {
            self.told = None;
            return Duration::ZERO;
        }
        let signing = authority.signing().cert();
        let known = match self.told.take() {
            // A clock that was set back must not make the wait longer than it is.
            Some((cert, since)) if cert == *signing && sight == Sight::Held => Some(since.min(now)),
            _ => None,
        };
        let since = known.unwrap_or_else(|| match sight {
            // Another replica told them. When, nobody wrote down; but not just now, if the authority is not new.
            Sight::Held if now >= after(authority.signing_since(), lifetimes.overlap()) => authority.signing_since(),
            _ => now,
        });
        self.told = Some((signing.clone(), since));
        let may = after(since, lifetimes.settle());
        Duration::try_from(may.duration_since(now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::authority::Plan;

    #[test]
    fn a_certificate_waits_until_callers_were_told_of_its_authority() {
        let lifetimes = Lifetimes::default();
        let made: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let at = |second: i64| Timestamp::from_second(made.as_second() + second).unwrap();
        let first = Plan::Create.carry_out(None, made, &lifetimes).unwrap();
        let settle = lifetimes.settle().as_secs();
        let mut trust = Trust::default();
        let second = Plan::Create.carry_out(None, at(300), &lifetimes).unwrap();
        for (case, authority, sight, now, wait) in [
            ("nobody calls", &first, Sight::Absent, 0, 0),
            ("we tell them", &first, Sight::Written, 0, settle),
            ("they may not all know yet", &first, Sight::Held, 2, settle - 2),
            ("they know", &first, Sight::Held, 5, 0),
            ("the clock was set back", &first, Sight::Held, -10, settle),
            ("they know again", &first, Sight::Held, 60, 0),
            ("somebody took it away", &first, Sight::Written, 90, settle),
            ("and they know once more", &first, Sight::Held, 100, 0),
            ("another authority, told by another", &second, Sight::Held, 301, settle),
            ("which they know then", &second, Sight::Held, 306, 0),
        ] {
            let waited = trust.wait(authority, sight, at(now), &lifetimes);
            assert_eq!(waited, Duration::from_secs(wait), "{case}");
        }
        let week = i64::try_from(lifetimes.overlap().as_secs()).unwrap();
        let late = |now| Trust::default().wait(&first, Sight::Held, at(now), &lifetimes);
        assert_eq!(late(60), lifetimes.settle(), "who told them may have done so just now");
        assert_eq!(
            late(week + 1),
            Duration::ZERO,
            "a replica that starts later begins at once"
        );
    }
}
