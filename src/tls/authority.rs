//! The CAs that replicas share, and when to rotate them.
//!
//! One CA signs. Four months before it expires, the *next* one is published; a week later that one
//! signs, and the previous CA stays trusted until the last certificate that it signed has expired.
//! Callers trust all of them, so whichever replica acts at whatever time, no caller meets a
//! certificate of a CA that it does not trust.
//!
//! These are pure functions of their values and `now`. The key of a CA that no longer signs is
//! dropped at once.

use std::sync::Arc;

use jiff::Timestamp;

use super::ca::{Ca, CaCertificate};
use super::lifetimes::{Lifetimes, after, before};

/// The current CA, the next one and the previous ones.
#[derive(Clone)]
pub struct Authority {
    /// The CA that signs.
    pub(super) signing: Arc<Ca>,
    /// Since when it signs.
    pub(super) signing_since: Timestamp,
    /// The CA that signs next, during a rotation.
    pub(super) next: Option<Next>,
    /// CAs that signed before, without their keys.
    pub(super) previous: Vec<CaCertificate>,
}

/// A CA that is published but does not sign yet.
#[derive(Clone)]
pub(super) struct Next {
    pub(super) ca: Arc<Ca>,
    pub(super) published: Timestamp,
}

/// The next step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Keep,
    /// Create the first CA, or a new one if none is left that is valid.
    Create,
    /// Publish the next CA.
    Publish,
    /// Let the next CA sign.
    Switch,
    /// Stop trusting the previous CAs.
    Drop,
}

impl Plan {
    /// The step that is due for `stored` at `now`.
    pub fn of(stored: Option<&Authority>, now: Timestamp, lifetimes: &Lifetimes) -> Plan {
        let Some(stored) = stored else { return Plan::Create };
        let end = stored.signing.cert().not_after();
        if let Some(next) = stored.next.as_ref().filter(|next| next.ca.cert().is_valid_at(now)) {
            let overlapped = now >= after(next.published, lifetimes.overlap());
            // After a long absence the current CA may expire within the overlap; then switch early.
            if overlapped || now >= before(end, lifetimes.skew()) {
                return Plan::Switch;
            }
        } else if now >= end {
            return Plan::Create;
        }
        // A replica that read the Secret just before the switch may have signed just after it,
        // hence the skew.
        let last_leaf = after(stored.signing_since, lifetimes.leaf() + lifetimes.skew());
        let ended = |cert: &CaCertificate| now >= cert.not_after();
        if !stored.previous.is_empty() && (now >= last_leaf || stored.previous.iter().all(ended)) {
            return Plan::Drop;
        }
        if stored.next.is_none() && now >= before(end, lifetimes.notice()) {
            return Plan::Publish;
        }
        Plan::Keep
    }

    /// Applies the step. The result takes effect only when it is stored: a replica that fails to
    /// store it because another was first drops it and reads what that one stored.
    pub fn apply(
        self,
        stored: Option<&Authority>,
        now: Timestamp,
        lifetimes: &Lifetimes,
    ) -> Result<Authority, rcgen::Error> {
        let create = || Ca::create(now, lifetimes).map(Arc::new);
        let Some(stored) = stored.filter(|_| self != Plan::Create) else {
            return Ok(Authority {
                signing: create()?,
                signing_since: now,
                next: None,
                previous: Vec::new(),
            });
        };
        let mut planned = stored.clone();
        match self {
            Plan::Keep | Plan::Create => {}
            Plan::Publish => {
                planned.next = Some(Next {
                    ca: create()?,
                    published: now,
                });
            }
            Plan::Switch => {
                if let Some(next) = planned.next.take() {
                    planned.previous.push(planned.signing.cert().clone());
                    planned.signing = next.ca;
                    planned.signing_since = now;
                }
            }
            Plan::Drop => planned.previous.clear(),
        }
        Ok(planned)
    }
}

impl Authority {
    /// The CA that signs.
    pub fn signing(&self) -> &Ca {
        &self.signing
    }

    /// Since when it signs.
    pub fn signing_since(&self) -> Timestamp {
        self.signing_since
    }

    /// The unexpired CAs that callers must trust, in an order that is the same for every replica.
    ///
    /// `served_by` is the CA of the certificate in use. It is one of the stored CAs, unless the
    /// Secret was deleted and another replica created new ones: callers then need it until that
    /// certificate is replaced.
    pub fn trusted(&self, served_by: Option<&CaCertificate>, now: Timestamp) -> Vec<CaCertificate> {
        let mut trusted: Vec<_> = self
            .all()
            .chain(served_by)
            .filter(|cert| now <= cert.not_after())
            .cloned()
            .collect();
        trusted.sort_by(|a, b| (a.not_before(), a.der().as_ref()).cmp(&(b.not_before(), b.der().as_ref())));
        trusted.dedup();
        trusted
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &CaCertificate> {
        let next = self.next.iter().map(|next| next.ca.cert());
        [self.signing.cert()].into_iter().chain(next).chain(&self.previous)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    /// The steps applied, in order, with a check every hour of these days.
    fn history(days: std::ops::Range<u32>, mut authority: Option<Authority>) -> (Vec<(u32, Plan)>, Option<Authority>) {
        let lifetimes = Lifetimes::default();
        let mut done = Vec::new();
        for hour in days.start * 24..days.end * 24 {
            let now = start(hour * DAY / 24);
            // Several steps may be due at once.
            loop {
                let plan = Plan::of(authority.as_ref(), now, &lifetimes);
                if plan == Plan::Keep {
                    break;
                }
                authority = Some(plan.apply(authority.as_ref(), now, &lifetimes).unwrap());
                done.push((hour / 24, plan));
            }
        }
        (done, authority)
    }

    fn start(passed: Duration) -> Timestamp {
        after("2026-03-01T12:00:00Z".parse().unwrap(), passed)
    }

    #[test]
    fn two_years_of_rotations_follow_the_schedule() {
        let (done, authority) = history(0..731, None);
        let expected = [
            (0, Plan::Create),
            (243, Plan::Publish),
            (250, Plan::Switch),
            (280, Plan::Drop),
            (486, Plan::Publish),
            (493, Plan::Switch),
            (523, Plan::Drop),
            (730, Plan::Publish),
        ];
        assert_eq!(done, expected);
        assert_eq!(authority.unwrap().trusted(None, start(731 * DAY)).len(), 2);
    }

    #[test]
    fn overdue_steps_are_taken_after_an_absence() {
        let absent_until = |until: u32| {
            let (_, first) = history(0..1, None);
            let (done, authority) = history(until..until + 1, first);
            let plans: Vec<_> = done.into_iter().map(|(_, plan)| plan).collect();
            (plans, authority.unwrap().trusted(None, start(until * DAY)).len())
        };
        for (until, plans, trusted) in [
            (200, &[][..], 1),
            (300, &[Plan::Publish], 2),
            // The current CA expires within the overlap, and later within hours.
            (360, &[Plan::Publish], 2),
            (364, &[Plan::Publish, Plan::Switch], 2),
            // The current CA has expired.
            (365, &[Plan::Create], 1),
            (500, &[Plan::Create], 1),
        ] {
            assert_eq!(absent_until(until), (plans.to_vec(), trusted), "away until day {until}");
        }
    }

    #[test]
    fn an_interrupted_rotation_is_finished() {
        let (_, published) = history(0..245, None);
        for (until, plans, trusted) in [
            (246, &[][..], 2),
            (300, &[Plan::Switch], 2),
            (370, &[Plan::Switch, Plan::Drop], 1),
            (700, &[Plan::Create], 1),
        ] {
            let (done, authority) = history(until..until + 1, published.clone());
            let done: Vec<_> = done.into_iter().map(|(_, plan)| plan).collect();
            assert_eq!(done, plans, "away until day {until}");
            assert_eq!(
                authority.unwrap().trusted(None, start(until * DAY)).len(),
                trusted,
                "away until day {until}"
            );
        }
    }

    #[test]
    fn the_ca_of_the_certificate_in_use_is_trusted_once_and_in_order() {
        let [first, second] = [0..1, 2..3].map(|days| history(days, None).1.unwrap());
        let now = start(3 * DAY);
        let (mine, own) = (first.signing().cert(), second.signing().cert());
        assert_eq!(second.trusted(Some(own), now), std::slice::from_ref(own));
        assert_eq!(second.trusted(Some(mine), now), [mine.clone(), own.clone()]);
        assert_eq!(first.trusted(Some(own), now), [mine.clone(), own.clone()]);
        assert_eq!(second.trusted(Some(mine), start(366 * DAY)), std::slice::from_ref(own));
    }
}
