//! Leader election: the replica that holds a Lease writes to the API server.
//!
//! As in client-go, a holder renews the lease, and another replica may acquire it when it was not
//! renewed for its duration, measured by its own clock since it saw the lease change. Two writers
//! would only duplicate Events and statuses, but would break the accounting of bindings. So a
//! holder knows until when it holds the lease, early enough for a call that it started to be over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;

use super::api::{ApiError, within};
use crate::service::Clock;

/// How long a lease is valid after a renewal, as in client-go.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// The time between two attempts to acquire or renew, as in client-go.
pub const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// The longest that a call may take that depends on a lease, including those that renew it. A
/// leader stops early enough before its lease ends for such a call to be over.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// A leader that has not renewed for so long stops leading. With a call and a retry period on top
/// it stays below [`LEASE_DURATION`].
const RENEW_DEADLINE: Duration = Duration::from_secs(8);

/// A Lease and the identity of this replica.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Our own namespace.
    pub namespace: String,
    pub name: String,
    /// The holder identity: our pod's name.
    pub holder: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Renew,
    /// It is free or has expired.
    Acquire,
    /// Another replica holds it.
    Wait,
}

/// The last change of the lease that this replica saw, and when.
#[derive(Debug)]
struct Observed {
    seen: Option<(Option<String>, Option<MicroTime>)>,
    at: Duration,
}

impl Observed {
    fn step(&mut self, spec: &LeaseSpec, own: &str, now: Duration) -> Step {
        let seen = (spec.holder_identity.clone(), spec.renew_time.clone());
        if self.seen.as_ref() != Some(&seen) {
            self.seen = Some(seen);
            self.at = now;
        }
        let seconds = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(LEASE_DURATION, Duration::from_secs);
        match spec.holder_identity.as_deref() {
            Some(holder) if holder == own => Step::Renew,
            None | Some("") => Step::Acquire,
            Some(_) if now.saturating_sub(self.at) > duration => Step::Acquire,
            Some(_) => Step::Wait,
        }
    }

    /// Whether a free lease is left to another replica that requested it a moment ago.
    fn is_promised(&self, wanted_by: Option<&str>, own: &str, now: Duration) -> bool {
        wanted_by.is_some_and(|by| by != own) && now.saturating_sub(self.at) <= 3 * RETRY_PERIOD
    }
}

/// Annotation with the identity of a replica that requests the lease from its holder.
const WANTED_BY: &str = "apportion.dev/wanted-by";

/// A period in which this replica leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Changes when another replica may have held the lease in between.
    pub number: u64,
    /// Its end by the service's clock, unless the lease is renewed.
    pub until: Duration,
}

/// Whether this replica leads.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The current term, sent by [`hold`].
    pub term: watch::Receiver<Option<Term>>,
    /// The clock of [`Term::until`].
    pub clock: Clock,
}

impl Leadership {
    /// Whether the lease is ours now.
    pub fn is_ours(&self) -> bool {
        self.term.borrow().is_some_and(|term| self.clock.now() < term.until)
    }
}

/// Passing a lease to another replica while its holder is alive.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Set when this replica needs the lease.
    pub wanted: Arc<AtomicBool>,
    /// How long a leader that stops waits for its calls in flight before it releases the lease.
    pub grace: Duration,
}

/// The state machine of leader election. Its driver supplies the time and calls the API server.
#[derive(Debug)]
pub struct Elector {
    config: LeaseConfig,
    observed: Observed,
    terms: u64,
    /// Whether the lease is ours, and has been since the term began.
    holds: bool,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Action {
    /// Write the lease. If that is refused with a conflict, the outcome is
    /// [`Outcome::HeldByOther`].
    Write(Box<Lease>, Outcome),
    /// Write nothing.
    None(Outcome),
}

/// The outcome of an attempt to acquire or renew a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was ours and still is; no other replica held it in between.
    Renewed,
    Acquired,
    /// It is in our name, and we do not know since when. Either a previous process held it, whose
    /// last calls may still be in flight, or the answer to our own write was lost.
    Resumed,
    /// It is ours, and another replica requests it.
    HandoverRequested,
    HeldByOther,
}

impl Outcome {
    /// Whether calls in flight must finish first: our own, or those of a previous process of our
    /// name.
    pub fn waits_for_calls(self) -> bool {
        matches!(self, Outcome::HandoverRequested | Outcome::Resumed)
    }

    /// Whether the lease is released after that.
    pub fn releases(self) -> bool {
        self == Outcome::HandoverRequested
    }
}

impl Elector {
    /// A replica that has not read the lease yet.
    pub fn new(config: LeaseConfig) -> Self {
        let observed = Observed {
            seen: None,
            at: Duration::ZERO,
        };
        Elector {
            config,
            observed,
            terms: 0,
            holds: false,
        }
    }

    /// Decides by the lease that was read. `wants` requests it even from a live holder; `stamp` is
    /// the wall-clock time to write.
    pub fn decide(&mut self, lease: Option<Lease>, wants: bool, now: Duration, stamp: Timestamp) -> Action {
        let Some(mut lease) = lease else {
            self.holds = false;
            return Action::Write(Box::new(new_lease(&self.config, stamp)), Outcome::Acquired);
        };
        let own = &self.config.holder;
        let annotations = lease.metadata.annotations.as_ref();
        let wanted_by = annotations.and_then(|all| all.get(WANTED_BY)).cloned();
        let spec = lease.spec.get_or_insert_default();
        let step = self.observed.step(spec, own, now);
        // Once it is not ours, the term is over whatever this attempt brings: if it acquires the
        // lease and the answer is lost, the lease that is later found in our name is another term.
        self.holds &= step == Step::Renew;
        let outcome = match step {
            Step::Wait if wants && wanted_by.as_ref() != Some(own) => {
                let annotations = lease.metadata.annotations.get_or_insert_default();
                annotations.insert(WANTED_BY.to_owned(), own.clone());
                Outcome::HeldByOther
            }
            Step::Wait => return Action::None(Outcome::HeldByOther),
            Step::Renew if wanted_by.as_ref().is_some_and(|by| by != own) => {
                return Action::None(Outcome::HandoverRequested);
            }
            // Left to the replica that requested it. If that is gone, its request expires.
            Step::Acquire if !wants && self.observed.is_promised(wanted_by.as_deref(), own, now) => {
                return Action::None(Outcome::HeldByOther);
            }
            Step::Renew => {
                spec.renew_time = Some(MicroTime(stamp));
                if self.holds { Outcome::Renewed } else { Outcome::Resumed }
            }
            Step::Acquire => {
                *spec = LeaseSpec {
                    lease_transitions: Some(spec.lease_transitions.unwrap_or(0).saturating_add(1)),
                    ..held(&self.config, stamp)
                };
                if let Some(annotations) = &mut lease.metadata.annotations {
                    annotations.remove(WANTED_BY);
                }
                Outcome::Acquired
            }
        };
        Action::Write(Box::new(lease), outcome)
    }

    /// The term after an attempt that started at `started`, if this replica leads.
    pub fn term(&mut self, outcome: Outcome, started: Duration) -> Option<Term> {
        self.holds = !matches!(outcome, Outcome::HeldByOther | Outcome::HandoverRequested);
        match outcome {
            Outcome::HeldByOther | Outcome::HandoverRequested => return None,
            Outcome::Resumed | Outcome::Acquired => self.terms += 1,
            Outcome::Renewed => {}
        }
        // After a resume, calls in flight must finish first; the next renewal starts the term.
        (outcome != Outcome::Resumed).then_some(Term {
            number: self.terms,
            until: started + RENEW_DEADLINE,
        })
    }

    /// The lease without a holder, if it is ours.
    pub fn release(&self, mut lease: Lease) -> Option<Lease> {
        let spec = lease.spec.as_mut()?;
        if spec.holder_identity.as_deref() != Some(&self.config.holder) {
            return None;
        }
        spec.holder_identity = None;
        Some(lease)
    }
}

/// Acquires and renews the lease until the task is aborted, and sends the current term.
pub async fn hold(
    client: Client,
    config: LeaseConfig,
    handover: Option<Handover>,
    clock: Clock,
    leads: watch::Sender<Option<Term>>,
) {
    let leases: Api<Lease> = Api::namespaced(client, &config.namespace);
    let mut elector = Elector::new(config.clone());
    let mut last_error = String::new();
    let grace = handover.as_ref().map_or(Duration::ZERO, |handover| handover.grace);
    loop {
        let started = clock.now();
        let wants = handover.as_ref().is_some_and(|h| h.wanted.load(Ordering::Relaxed));
        match within(CALL_TIMEOUT, attempt(&leases, &mut elector, wants, &clock)).await {
            Ok(outcome) => {
                last_error.clear();
                let term = elector.term(outcome, started);
                send(&leads, &config, term);
                if let (Some(_), Some(handover)) = (term, &handover) {
                    handover.wanted.store(false, Ordering::Relaxed);
                }
                if outcome.waits_for_calls() {
                    tokio::time::sleep(grace).await;
                }
                if outcome.releases()
                    && let Err(error) = within(CALL_TIMEOUT, release(&leases, &elector)).await
                {
                    report(&mut last_error, &config, &error);
                }
            }
            Err(error) => report(&mut last_error, &config, &error),
        }
        tokio::time::sleep(RETRY_PERIOD).await;
    }
}

fn send(leads: &watch::Sender<Option<Term>>, config: &LeaseConfig, term: Option<Term>) {
    let before = leads.send_replace(term);
    if before.is_some() != term.is_some() {
        tracing::info!(lease = config.name, is_leader = term.is_some(), "leadership changed");
    }
}

/// Logs each different error once.
fn report(last_error: &mut String, config: &LeaseConfig, error: &ApiError) {
    let why = error.to_string();
    if *last_error != why {
        let lease = format!("{}/{}", config.namespace, config.name);
        tracing::warn!(
            lease,
            why,
            "failed to acquire or renew the lease; another replica may hold it"
        );
        *last_error = why;
    }
}

/// Reads the lease and acts on it once. A write that is too late is refused with a conflict, and
/// means that the lease is not ours.
async fn attempt(
    leases: &Api<Lease>,
    elector: &mut Elector,
    wants: bool,
    clock: &Clock,
) -> Result<Outcome, kube::Error> {
    let lease = leases.get_opt(&elector.config.name).await?;
    let (written, outcome) = match elector.decide(lease, wants, clock.now(), Timestamp::now()) {
        Action::None(outcome) => return Ok(outcome),
        Action::Write(lease, outcome) if lease.metadata.resource_version.is_none() => {
            (leases.create(&PostParams::default(), &lease).await, outcome)
        }
        Action::Write(lease, outcome) => {
            let name = &elector.config.name;
            (leases.replace(name, &PostParams::default(), &lease).await, outcome)
        }
    };
    match written {
        Ok(_) => Ok(outcome),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Outcome::HeldByOther),
        Err(error) => Err(error),
    }
}

async fn release(leases: &Api<Lease>, elector: &Elector) -> Result<(), kube::Error> {
    let name = &elector.config.name;
    if let Some(lease) = leases.get_opt(name).await?.and_then(|lease| elector.release(lease)) {
        leases.replace(name, &PostParams::default(), &lease).await?;
    }
    Ok(())
}

fn new_lease(config: &LeaseConfig, stamp: Timestamp) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(config.name.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(held(config, stamp)),
    }
}

fn held(config: &LeaseConfig, stamp: Timestamp) -> LeaseSpec {
    let now = MicroTime(stamp);
    LeaseSpec {
        holder_identity: Some(config.holder.clone()),
        lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
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
    fn a_lease_that_is_not_renewed_is_acquired() {
        let start = Duration::from_secs(100);
        let mut observed = Observed { seen: None, at: start };
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
            (31, "other", 7, Step::Acquire),
            (32, "us", 31, Step::Renew),
            (60, "us", 31, Step::Renew),
            // Another replica acquired it.
            (61, "other", 60, Step::Wait),
            // A released lease has no holder.
            (62, "", 60, Step::Acquire),
        ] {
            let at = start + Duration::from_secs(second);
            assert_eq!(observed.step(&spec(holder, renewed), "us", at), step, "at {second} s");
        }
    }

    /// Makes one attempt on `lease`; `arrives` is whether the write reaches the API server.
    fn attempt(elector: &mut Elector, lease: &mut Option<Lease>, second: u64, arrives: bool) -> Outcome {
        let stamp = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        match elector.decide(lease.clone(), false, Duration::from_secs(second), stamp) {
            Action::None(outcome) => outcome,
            Action::Write(written, outcome) => {
                if arrives {
                    *lease = Some(*written);
                }
                outcome
            }
        }
    }

    fn term(elector: &mut Elector, outcome: Outcome) -> Option<u64> {
        elector.term(outcome, Duration::ZERO).map(|term| term.number)
    }

    fn replica(name: &str) -> Elector {
        Elector::new(LeaseConfig {
            namespace: "n".to_owned(),
            name: "l".to_owned(),
            holder: name.to_owned(),
        })
    }

    #[test]
    fn a_resumed_lease_starts_its_term_with_the_next_renewal() {
        let mut lease = None;
        attempt(&mut replica("us"), &mut lease, 100, true);
        // The process that acquired it is gone; this is the next one of that name.
        let mut next = replica("us");
        let first = attempt(&mut next, &mut lease, 101, true);
        assert_eq!((first, first.waits_for_calls()), (Outcome::Resumed, true));
        assert_eq!(
            term(&mut next, first),
            None,
            "calls of its predecessor may be in flight"
        );
        let second = attempt(&mut next, &mut lease, 106, true);
        assert_eq!((second, second.waits_for_calls()), (Outcome::Renewed, false));
        assert_eq!(term(&mut next, second), Some(1));
    }

    #[test]
    fn a_lease_regained_by_a_lost_write_is_another_term() {
        // Whether this replica saw that another one held it in between.
        for saw in [true, false] {
            let (mut us, mut other, mut lease) = (replica("us"), replica("other"), None);
            let taken = attempt(&mut us, &mut lease, 100, true);
            assert_eq!(term(&mut us, taken), Some(1));
            attempt(&mut other, &mut lease, 101, true);
            assert_eq!(attempt(&mut other, &mut lease, 117, true), Outcome::Acquired);
            if saw {
                let elsewhere = attempt(&mut us, &mut lease, 118, true);
                assert_eq!(term(&mut us, elsewhere), None);
            }
            lease = lease.and_then(|lease| other.release(lease));
            // Acquired, and the answer is lost.
            assert_eq!(attempt(&mut us, &mut lease, 120, true), Outcome::Acquired);
            let found = attempt(&mut us, &mut lease, 125, true);
            assert_eq!(found, Outcome::Resumed, "saw: {saw}");
            assert_eq!(term(&mut us, found), None);
            let renewed = attempt(&mut us, &mut lease, 130, true);
            assert_eq!(term(&mut us, renewed), Some(2), "saw: {saw}");
            // A write that never arrives changes nothing.
            attempt(&mut us, &mut lease, 132, false);
            let renewed = attempt(&mut us, &mut lease, 134, true);
            assert_eq!(term(&mut us, renewed), Some(2));
        }
    }

    #[test]
    fn a_handover_request_ends_the_term() {
        let (mut us, mut other, mut lease) = (replica("us"), replica("other"), None);
        let taken = attempt(&mut us, &mut lease, 100, true);
        assert_eq!(term(&mut us, taken), Some(1));
        let Action::Write(asked, Outcome::HeldByOther) =
            other.decide(lease.clone(), true, Duration::from_secs(101), Timestamp::UNIX_EPOCH)
        else {
            panic!("no request");
        };
        lease = Some(*asked);
        let asked = attempt(&mut us, &mut lease, 102, true);
        assert_eq!(
            (asked, asked.waits_for_calls(), asked.releases()),
            (Outcome::HandoverRequested, true, true)
        );
        assert_eq!(term(&mut us, asked), None);
        // The request is removed by hand.
        lease.as_mut().unwrap().metadata.annotations = None;
        assert_eq!(attempt(&mut us, &mut lease, 110, true), Outcome::Resumed);
    }

    #[test]
    fn two_replicas_never_lead_at_once() {
        assert!(RENEW_DEADLINE + CALL_TIMEOUT + RETRY_PERIOD < LEASE_DURATION);
    }
}
