//! The authorities that replicas share, and what is to be done with them when.
//!
//! One authority signs. Four months before it ends a *next* one is published beside it; a week later that one signs,
//! and the one before is kept among the trusted until the last certificate that it signed has ended. Callers trust all of
//! them, so whichever replica acts, and whenever, no caller meets a certificate of an authority that it does not hold.
//!
//! Values and `now` in, values out. The key of an authority that no longer signs is forgotten at once.

use std::sync::Arc;

use jiff::Timestamp;

use super::ca::{Ca, Trusted};
use super::lifetimes::{Lifetimes, after, before};

/// Every authority there is.
#[derive(Clone)]
pub struct Authority {
    /// The one that signs.
    pub(super) signing: Arc<Ca>,
    /// Since when it signs.
    pub(super) signing_since: Timestamp,
    /// The one that will sign next.
    pub(super) next: Option<Next>,
    /// Those that signed before, without their keys.
    pub(super) previous: Vec<Trusted>,
}

/// An authority that is published and does not sign yet.
#[derive(Clone)]
pub(super) struct Next {
    pub(super) ca: Arc<Ca>,
    pub(super) published: Timestamp,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Keep,
    /// Make the first authority, or start anew where none is left that callers would take.
    Create,
    /// Publish the next authority beside the one that signs.
    Publish,
    /// Let the next one sign.
    Switch,
    /// Stop trusting those that signed before.
    Drop,
}

impl Plan {
    /// The plan for `stored` at `now`.
    pub fn of(stored: Option<&Authority>, now: Timestamp, lifetimes: &Lifetimes) -> Plan {
        let Some(stored) = stored else { return Plan::Create };
        let end = stored.signing.cert().not_after();
        if let Some(next) = stored.next.as_ref().filter(|next| next.ca.cert().is_valid_at(now)) {
            let overlapped = now >= after(next.published, lifetimes.overlap());
            // After a long absence the old one may end within the overlap: sooner is then better than not at all.
            if overlapped || now >= before(end, lifetimes.skew()) {
                return Plan::Switch;
            }
        } else if now >= end {
            return Plan::Create;
        }
        // A replica that read the Secret just before the switch may have signed just after it: hence the skew.
        let last_leaf = after(stored.signing_since, lifetimes.leaf() + lifetimes.skew());
        let ended = |cert: &Trusted| now >= cert.not_after();
        if !stored.previous.is_empty() && (now >= last_leaf || stored.previous.iter().all(ended)) {
            return Plan::Drop;
        }
        if stored.next.is_none() && now >= before(end, lifetimes.notice()) {
            return Plan::Publish;
        }
        Plan::Keep
    }

    /// Carries the plan out. Nothing is signed or trusted by that: the result has to be stored first, and whoever fails to
    /// store it, as another replica was quicker, forgets it and reads what that one stored.
    pub fn carry_out(
        self,
        stored: Option<&Authority>,
        now: Timestamp,
        lifetimes: &Lifetimes,
    ) -> Result<Authority, rcgen::Error> {
        let make = || Ca::make(now, lifetimes).map(Arc::new);
        let Some(stored) = stored.filter(|_| self != Plan::Create) else {
            return Ok(Authority {
                signing: make()?,
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
                    ca: make()?,
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
    /// The authority that signs.
    pub fn signing(&self) -> &Ca {
        &self.signing
    }

    /// Since when it signs.
    pub fn signing_since(&self) -> Timestamp {
        self.signing_since
    }

    /// All that callers must trust, in an order that is the same for every replica. Those that have ended are of no use
    /// to a caller.
    ///
    /// `shown` is the authority of the certificate that is served at this moment. It is one of the others, unless the
    /// Secret was deleted and another replica began anew: callers then need it until that certificate is replaced.
    pub fn trusted(&self, shown: Option<&Trusted>, now: Timestamp) -> Vec<Trusted> {
        let mut trusted: Vec<_> = self
            .all()
            .chain(shown)
            .filter(|cert| now <= cert.not_after())
            .cloned()
            .collect();
        trusted.sort_by(|a, b| (a.not_before(), a.der().as_ref()).cmp(&(b.not_before(), b.der().as_ref())));
        trusted.dedup();
        trusted
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Trusted> {
        let next = self.next.iter().map(|next| next.ca.cert());
        [self.signing.cert()].into_iter().chain(next).chain(&self.previous)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    /// What was carried out, in order, when it is looked at every hour of these days.
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
                authority = Some(plan.carry_out(authority.as_ref(), now, &lifetimes).unwrap());
                done.push((hour / 24, plan));
            }
        }
        (done, authority)
    }

    fn start(passed: Duration) -> Timestamp {
        after("2026-03-01T12:00:00Z".parse().unwrap(), passed)
    }

    #[test]
    fn two_years_go_by_as_planned() {
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
    fn after_an_absence_what_is_due_is_done() {
        let absent_until = |until: u32| {
            let (_, first) = history(0..1, None);
            let (done, authority) = history(until..until + 1, first);
            let plans: Vec<_> = done.into_iter().map(|(_, plan)| plan).collect();
            (plans, authority.unwrap().trusted(None, start(until * DAY)).len())
        };
        for (until, plans, trusted) in [
            (200, &[][..], 1),
            (300, &[Plan::Publish], 2),
            // The old one ends within the overlap, and at last within hours.
            (360, &[Plan::Publish], 2),
            (364, &[Plan::Publish, Plan::Switch], 2),
            // Nobody takes the old one any more.
            (365, &[Plan::Create], 1),
            (500, &[Plan::Create], 1),
        ] {
            assert_eq!(absent_until(until), (plans.to_vec(), trusted), "away until day {until}");
        }
    }

    #[test]
    fn a_rollover_that_was_left_alone_is_finished() {
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
    fn an_authority_that_still_serves_is_trusted_once_and_in_the_same_place() {
        let [first, second] = [0..1, 2..3].map(|days| history(days, None).1.unwrap());
        let now = start(3 * DAY);
        let (mine, own) = (first.signing().cert(), second.signing().cert());
        assert_eq!(second.trusted(Some(own), now), std::slice::from_ref(own));
        assert_eq!(second.trusted(Some(mine), now), [mine.clone(), own.clone()]);
        assert_eq!(first.trusted(Some(own), now), [mine.clone(), own.clone()]);
        assert_eq!(second.trusted(Some(mine), start(366 * DAY)), std::slice::from_ref(own));
    }
}
