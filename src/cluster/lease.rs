//! Who writes to the API server: of several replicas the one that holds a Lease.
//!
//! As client-go's leader election does it: a holder renews; a lease that was not renewed for as long as it lasts, by our own clock since
//! we saw it change, may be taken. For Events and statuses a text written twice is at stake. For bindings it is safety, so what a holder
//! knows is until when it holds, and that ends early enough for a call that was begun in time to be over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::timeout;

use super::api_error::ApiError;
use crate::service::Clock;

/// How long a lease lasts after it was renewed.
pub const LASTS: Duration = Duration::from_secs(15);
/// Between two looks.
pub const EVERY: Duration = Duration::from_secs(2);
/// The longest that one look may take.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Without a renewal for so long we lead no more. With a call and a pause on top it stays below [`LASTS`].
const GIVE_UP: Duration = Duration::from_secs(8);

/// The Lease, and who we are.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Its namespace: our own.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What we call ourselves: our pod's name.
    pub holder: String,
}

/// What to do about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is ours.
    Renew,
    /// Nobody holds it (any more).
    Take,
    /// Somebody else holds it.
    Wait,
}

/// The last change of the lease that we saw, and when.
#[derive(Debug)]
struct Watched {
    seen: Option<(Option<String>, Option<MicroTime>)>,
    at: Duration,
}

impl Watched {
    fn step(&mut self, spec: &LeaseSpec, own: &str, now: Duration) -> Step {
        let seen = (spec.holder_identity.clone(), spec.renew_time.clone());
        if self.seen.as_ref() != Some(&seen) {
            self.seen = Some(seen);
            self.at = now;
        }
        let seconds = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = seconds.map_or(LASTS, Duration::from_secs);
        match spec.holder_identity.as_deref() {
            Some(holder) if holder == own => Step::Renew,
            None | Some("") => Step::Take,
            Some(_) if now.saturating_sub(self.at) > lasts => Step::Take,
            Some(_) => Step::Wait,
        }
    }

    /// Whether a free lease is left to another replica that asked for it a moment ago.
    fn is_promised(&self, wanted_by: Option<&str>, own: &str, now: Duration) -> bool {
        wanted_by.is_some_and(|by| by != own) && now.saturating_sub(self.at) <= 3 * EVERY
    }
}

/// Another replica that asks for the lease writes its name here, and the holder leaves it to that one.
const WANTED_BY: &str = "apportion.dev/wanted-by";

/// For how long a lease is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Another number after somebody else may have held it.
    pub number: u64,
    /// Its end by the service's clock, unless it is renewed.
    pub until: Duration,
}

/// Whether a lease is ours, asked again and again.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The term that [`hold`] tells of.
    pub leads: watch::Receiver<Option<Term>>,
    /// The clock that it goes by.
    pub clock: Clock,
}

impl Leadership {
    /// Whether it is now.
    pub fn is_ours(&self) -> bool {
        self.leads.borrow().is_some_and(|term| self.clock.now() < term.until)
    }
}

/// How a lease goes over to another replica that needs it while the holder lives.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Set by whoever needs it here.
    pub wanted: Arc<AtomicBool>,
    /// For how long a holder that gave up waits for what it had begun.
    pub notice: Duration,
}

/// What a replica knows of the lease from one look to the next. Time and the API server are whoever's who drives it.
#[derive(Debug)]
pub struct Holder {
    seat: LeaseConfig,
    watched: Watched,
    terms: u64,
    /// Whether it is ours as far as we know, and has been since the term began.
    holds: bool,
}

/// What a look leads to.
#[derive(Debug)]
pub enum Move {
    /// The lease is to be written like this. Where that is refused for the resource version, the lease is [`Attempt::Elsewhere`].
    Write(Box<Lease>, Attempt),
    /// There is nothing to be written.
    Rest(Attempt),
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was ours and still is, without anybody else in between.
    Renewed,
    /// It has become ours.
    Taken,
    /// It is in our name, and we do not know since when: a process before us held it, whose last calls may be on their way still, or we
    /// took it and never heard that we had.
    Resumed,
    /// It is ours, and another replica asks for it.
    AskedFor,
    /// It is not.
    Elsewhere,
}

impl Attempt {
    /// Whether what was begun has to be over before anything else is done about the lease: what we began ourselves, or what may have been
    /// begun in our name.
    pub fn lets_pass(self) -> bool {
        matches!(self, Attempt::AskedFor | Attempt::Resumed)
    }

    /// Whether the lease is given up then.
    pub fn leaves(self) -> bool {
        self == Attempt::AskedFor
    }
}

impl Holder {
    /// Somebody who has not looked yet.
    pub fn new(seat: LeaseConfig) -> Self {
        let watched = Watched {
            seen: None,
            at: Duration::ZERO,
        };
        Holder {
            seat,
            watched,
            terms: 0,
            holds: false,
        }
    }

    /// What to do about the lease as it is; `wants` is whether we need it even from a holder that lives, `stamp` what a calendar says now.
    pub fn look(&mut self, lease: Option<Lease>, wants: bool, now: Duration, stamp: Timestamp) -> Move {
        let Some(mut lease) = lease else {
            self.holds = false;
            return Move::Write(Box::new(fresh(&self.seat, stamp)), Attempt::Taken);
        };
        let own = &self.seat.holder;
        let annotations = lease.metadata.annotations.as_ref();
        let wanted_by = annotations.and_then(|all| all.get(WANTED_BY)).cloned();
        let spec = lease.spec.get_or_insert_default();
        let step = self.watched.step(spec, own, now);
        // Whoever sees that it is not ours knows, whatever becomes of this attempt: should it take the lease and never hear so, then what
        // is found in our name later is another term.
        self.holds &= step == Step::Renew;
        let became = match step {
            Step::Wait if wants && wanted_by.as_ref() != Some(own) => {
                let annotations = lease.metadata.annotations.get_or_insert_default();
                annotations.insert(WANTED_BY.to_owned(), own.clone());
                Attempt::Elsewhere
            }
            Step::Wait => return Move::Rest(Attempt::Elsewhere),
            Step::Renew if wanted_by.as_ref().is_some_and(|by| by != own) => return Move::Rest(Attempt::AskedFor),
            // Left to the one that asked for it; should that be gone, the request has to be, too.
            Step::Take if !wants && self.watched.is_promised(wanted_by.as_deref(), own, now) => {
                return Move::Rest(Attempt::Elsewhere);
            }
            Step::Renew => {
                spec.renew_time = Some(MicroTime(stamp));
                if self.holds { Attempt::Renewed } else { Attempt::Resumed }
            }
            Step::Take => {
                *spec = LeaseSpec {
                    lease_transitions: Some(spec.lease_transitions.unwrap_or(0).saturating_add(1)),
                    ..held(&self.seat, stamp)
                };
                if let Some(annotations) = &mut lease.metadata.annotations {
                    annotations.remove(WANTED_BY);
                }
                Attempt::Taken
            }
        };
        Move::Write(Box::new(lease), became)
    }

    /// The term that an attempt leads to, if the lease is ours now. It was begun at `begun`.
    pub fn term(&mut self, attempt: Attempt, begun: Duration) -> Option<Term> {
        self.holds = !matches!(attempt, Attempt::Elsewhere | Attempt::AskedFor);
        match attempt {
            Attempt::Elsewhere | Attempt::AskedFor => return None,
            Attempt::Resumed | Attempt::Taken => self.terms += 1,
            Attempt::Renewed => {}
        }
        // Whoever resumes lets pass first what was on its way, and leads with the next renewal.
        (attempt != Attempt::Resumed).then_some(Term {
            number: self.terms,
            until: begun + GIVE_UP,
        })
    }

    /// The lease without us, if it is ours.
    pub fn leave(&self, mut lease: Lease) -> Option<Lease> {
        let spec = lease.spec.as_mut()?;
        if spec.holder_identity.as_deref() != Some(&self.seat.holder) {
            return None;
        }
        spec.holder_identity = None;
        Some(lease)
    }
}

/// Holds the lease as well as it can, for ever, and says until when we do unless it is renewed.
pub async fn hold(
    client: Client,
    seat: LeaseConfig,
    handover: Option<Handover>,
    clock: Clock,
    leads: watch::Sender<Option<Term>>,
) {
    let leases: Api<Lease> = Api::namespaced(client, &seat.namespace);
    let mut holder = Holder::new(seat.clone());
    let mut complained = String::new();
    let notice = handover.as_ref().map_or(Duration::ZERO, |handover| handover.notice);
    loop {
        let begun = clock.now();
        let wants = handover.as_ref().is_some_and(|h| h.wanted.load(Ordering::Relaxed));
        match timeout(PATIENCE, attempt(&leases, &mut holder, wants, &clock)).await {
            Ok(Ok(attempt)) => {
                complained.clear();
                let term = holder.term(attempt, begun);
                tell(&leads, &seat, term);
                if let (Some(_), Some(handover)) = (term, &handover) {
                    handover.wanted.store(false, Ordering::Relaxed);
                }
                if attempt.lets_pass() {
                    tokio::time::sleep(notice).await;
                }
                if attempt.leaves()
                    && let Ok(Err(error)) = timeout(PATIENCE, leave(&leases, &holder)).await
                {
                    complain(&mut complained, &seat, &ApiError::from(error).to_string());
                }
            }
            Ok(Err(error)) => complain(&mut complained, &seat, &ApiError::from(error).to_string()),
            Err(_) => complain(&mut complained, &seat, "the API server does not answer"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn tell(leads: &watch::Sender<Option<Term>>, seat: &LeaseConfig, term: Option<Term>) {
    let before = leads.send_replace(term);
    if before.is_some() != term.is_some() {
        tracing::info!(
            lease = seat.name,
            is_held = term.is_some(),
            "the lease has changed hands"
        );
    }
}

/// Once for each different complaint.
fn complain(complained: &mut String, seat: &LeaseConfig, why: &str) {
    if complained != why {
        let lease = format!("{}/{}", seat.namespace, seat.name);
        tracing::warn!(
            lease,
            why,
            "the lease can not be held: what it is for is left to others"
        );
        why.clone_into(complained);
    }
}

/// Looks once. A write that comes too late is refused for its resource version, and means that the lease is not ours.
async fn attempt(leases: &Api<Lease>, holder: &mut Holder, wants: bool, clock: &Clock) -> Result<Attempt, kube::Error> {
    let lease = leases.get_opt(&holder.seat.name).await?;
    let (written, became) = match holder.look(lease, wants, clock.now(), Timestamp::now()) {
        Move::Rest(attempt) => return Ok(attempt),
        Move::Write(lease, became) if lease.metadata.resource_version.is_none() => {
            (leases.create(&PostParams::default(), &lease).await, became)
        }
        Move::Write(lease, became) => {
            let name = &holder.seat.name;
            (leases.replace(name, &PostParams::default(), &lease).await, became)
        }
    };
    match written {
        Ok(_) => Ok(became),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Elsewhere),
        Err(error) => Err(error),
    }
}

/// Lets go of a lease that is ours.
async fn leave(leases: &Api<Lease>, holder: &Holder) -> Result<(), kube::Error> {
    let name = &holder.seat.name;
    if let Some(lease) = leases.get_opt(name).await?.and_then(|lease| holder.leave(lease)) {
        leases.replace(name, &PostParams::default(), &lease).await?;
    }
    Ok(())
}

fn fresh(seat: &LeaseConfig, stamp: Timestamp) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(seat.name.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(held(seat, stamp)),
    }
}

fn held(seat: &LeaseConfig, stamp: Timestamp) -> LeaseSpec {
    let now = MicroTime(stamp);
    LeaseSpec {
        holder_identity: Some(seat.holder.clone()),
        lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
        acquire_time: Some(now.clone()),
        renew_time: Some(now),
        lease_transitions: Some(0),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_nobody_renews_it() {
        let start = Duration::from_secs(100);
        let mut watched = Watched { seen: None, at: start };
        let spec = |holder: &str, renewed: i64| LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            renew_time: Timestamp::from_second(renewed).ok().map(MicroTime),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        for (second, holder, renewed, step) in [
            (0, "other", 100, Step::Wait),
            (14, "other", 100, Step::Wait),
            // Renewed by a clock that is wrong, but renewed.
            (15, "other", 7, Step::Wait),
            (30, "other", 7, Step::Wait),
            (31, "other", 7, Step::Take),
            (32, "us", 31, Step::Renew),
            (60, "us", 31, Step::Renew),
            // Somebody took it from us.
            (61, "other", 60, Step::Wait),
            // Whoever lets go leaves it empty.
            (62, "", 60, Step::Take),
        ] {
            let at = start + Duration::from_secs(second);
            assert_eq!(watched.step(&spec(holder, renewed), "us", at), step, "at {second} s");
        }
    }

    /// Looks at `lease`, and writes what is to be written where the write is to arrive.
    fn look(holder: &mut Holder, lease: &mut Option<Lease>, second: u64, arrives: bool) -> Attempt {
        let stamp = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        match holder.look(lease.clone(), false, Duration::from_secs(second), stamp) {
            Move::Rest(became) => became,
            Move::Write(written, became) => {
                if arrives {
                    *lease = Some(*written);
                }
                became
            }
        }
    }

    fn term(holder: &mut Holder, attempt: Attempt) -> Option<u64> {
        holder.term(attempt, Duration::ZERO).map(|term| term.number)
    }

    fn holder(name: &str) -> Holder {
        Holder::new(LeaseConfig {
            namespace: "n".to_owned(),
            name: "l".to_owned(),
            holder: name.to_owned(),
        })
    }

    #[test]
    fn whoever_finds_it_in_its_own_name_leads_with_the_renewal_after() {
        let mut lease = None;
        look(&mut holder("us"), &mut lease, 100, true);
        // The process that took it is gone; this is the next of that name.
        let mut next = holder("us");
        let first = look(&mut next, &mut lease, 101, true);
        assert_eq!((first, first.lets_pass()), (Attempt::Resumed, true));
        assert_eq!(
            term(&mut next, first),
            None,
            "what its predecessor sent may be on its way"
        );
        let second = look(&mut next, &mut lease, 106, true);
        assert_eq!((second, second.lets_pass()), (Attempt::Renewed, false));
        assert_eq!(term(&mut next, second), Some(1));
    }

    #[test]
    fn a_term_that_was_never_heard_of_is_another_one() {
        // Whether anybody heard that it was somebody else's meanwhile.
        for told in [true, false] {
            let (mut us, mut other, mut lease) = (holder("us"), holder("other"), None);
            let taken = look(&mut us, &mut lease, 100, true);
            assert_eq!(term(&mut us, taken), Some(1));
            look(&mut other, &mut lease, 101, true);
            assert_eq!(look(&mut other, &mut lease, 117, true), Attempt::Taken);
            if told {
                let elsewhere = look(&mut us, &mut lease, 118, true);
                assert_eq!(term(&mut us, elsewhere), None);
            }
            lease = lease.and_then(|lease| other.leave(lease));
            // Taken, and the answer gets lost.
            assert_eq!(look(&mut us, &mut lease, 120, true), Attempt::Taken);
            let found = look(&mut us, &mut lease, 125, true);
            assert_eq!(found, Attempt::Resumed, "told: {told}");
            assert_eq!(term(&mut us, found), None);
            let renewed = look(&mut us, &mut lease, 130, true);
            assert_eq!(term(&mut us, renewed), Some(2), "told: {told}");
            // A write that never arrives changes nothing.
            look(&mut us, &mut lease, 132, false);
            let renewed = look(&mut us, &mut lease, 134, true);
            assert_eq!(term(&mut us, renewed), Some(2));
        }
    }

    #[test]
    fn whoever_was_asked_to_hand_over_begins_anew() {
        let (mut us, mut other, mut lease) = (holder("us"), holder("other"), None);
        let taken = look(&mut us, &mut lease, 100, true);
        assert_eq!(term(&mut us, taken), Some(1));
        let Move::Write(asked, Attempt::Elsewhere) =
            other.look(lease.clone(), true, Duration::from_secs(101), Timestamp::UNIX_EPOCH)
        else {
            panic!("it asks");
        };
        lease = Some(*asked);
        let asked = look(&mut us, &mut lease, 102, true);
        assert_eq!(
            (asked, asked.lets_pass(), asked.leaves()),
            (Attempt::AskedFor, true, true)
        );
        assert_eq!(term(&mut us, asked), None);
        // Somebody takes the request away by hand.
        lease.as_mut().unwrap().metadata.annotations = None;
        assert_eq!(look(&mut us, &mut lease, 110, true), Attempt::Resumed);
    }

    #[test]
    fn the_times_leave_no_moment_for_two() {
        assert!(GIVE_UP + PATIENCE + EVERY < LASTS);
    }
}
