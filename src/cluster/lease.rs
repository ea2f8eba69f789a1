//! Who writes to the API server: of several replicas the one that holds a Lease.
//!
//! As client-go's leader election does it: a holder renews; a lease that was not renewed for as long as it lasts, by our own clock since
//! we saw it change, may be taken. For Events and statuses a text written twice is at stake. For bindings it is safety, so what a holder
//! knows is until when it holds, and that ends early enough for a call that was begun in time to be over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as StdInstant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::refusal::Refusal;

/// How long a lease lasts after it was renewed.
const LASTS: Duration = Duration::from_secs(15);
/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// The longest that one call may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Without a renewal for so long we lead no more. With a call and a pause on top it stays below [`LASTS`].
const GIVE_UP: Duration = Duration::from_secs(8);

/// The Lease, and who we are.
#[derive(Clone, Debug)]
pub struct Seat {
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
    at: Instant,
}

impl Watched {
    fn step(&mut self, spec: &LeaseSpec, own: &str, now: Instant) -> Step {
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
            Some(_) if now.duration_since(self.at) > lasts => Step::Take,
            Some(_) => Step::Wait,
        }
    }

    /// Whether a free lease is left to another replica that asked for it a moment ago.
    fn is_promised(&self, wanted_by: Option<&str>, own: &str, now: Instant) -> bool {
        wanted_by.is_some_and(|by| by != own) && now.duration_since(self.at) <= 3 * EVERY
    }
}

/// Another replica that asks for the lease writes its name here, and the holder leaves it to that one.
const WANTED_BY: &str = "apportion.dev/wanted-by";

/// For how long a lease is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Another number after somebody else may have held it.
    pub number: u64,
    /// Its end, unless it is renewed.
    pub until: StdInstant,
}

/// Whether a lease is ours, asked again and again.
#[derive(Clone, Debug)]
pub struct Tenure(pub watch::Receiver<Option<Term>>);

impl Tenure {
    /// Whether it is now.
    pub fn is_ours(&self) -> bool {
        self.0.borrow().is_some_and(|term| StdInstant::now() < term.until)
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

/// Holds the lease as well as it can, for ever, and says until when we do unless it is renewed.
pub async fn hold(client: Client, seat: Seat, handover: Option<Handover>, leads: watch::Sender<Option<Term>>) {
    let mut terms = 0u64;
    let leases: Api<Lease> = Api::namespaced(client, &seat.namespace);
    let mut watched = Watched {
        seen: None,
        at: Instant::now(),
    };
    let mut complained = String::new();
    loop {
        let begun = StdInstant::now();
        let wants = handover.as_ref().is_some_and(|h| h.wanted.load(Ordering::Relaxed));
        match timeout(PATIENCE, attempt(&leases, &seat, wants, &mut watched)).await {
            Ok(Ok(held @ (Attempt::Renewed | Attempt::Taken))) => {
                complained.clear();
                terms += u64::from(matches!(held, Attempt::Taken));
                let until = begun + GIVE_UP;
                tell(&leads, &seat, Some(Term { number: terms, until }));
                if let Some(handover) = &handover {
                    handover.wanted.store(false, Ordering::Relaxed);
                }
            }
            Ok(Ok(Attempt::AskedFor)) => {
                let notice = handover.as_ref().map_or(Duration::ZERO, |h| h.notice);
                tell(&leads, &seat, None);
                tokio::time::sleep(notice).await;
                if let Ok(Err(error)) = timeout(PATIENCE, leave(&leases, &seat)).await {
                    complain(&mut complained, &seat, &Refusal::from(error).to_string());
                }
            }
            Ok(Ok(Attempt::Elsewhere)) => {
                complained.clear();
                tell(&leads, &seat, None);
            }
            Ok(Err(error)) => complain(&mut complained, &seat, &Refusal::from(error).to_string()),
            Err(_) => complain(&mut complained, &seat, "the API server does not answer"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn tell(leads: &watch::Sender<Option<Term>>, seat: &Seat, term: Option<Term>) {
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
fn complain(complained: &mut String, seat: &Seat, why: &str) {
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

/// What became of a lease.
enum Attempt {
    /// It was ours and still is, without anybody else in between.
    Renewed,
    /// It has become ours.
    Taken,
    /// It is ours, and another replica asks for it.
    AskedFor,
    /// It is not.
    Elsewhere,
}

/// Looks once. A write that comes too late is refused for its resource version, and means that the lease is not ours.
async fn attempt(leases: &Api<Lease>, seat: &Seat, wants: bool, watched: &mut Watched) -> Result<Attempt, kube::Error> {
    let mut became = Attempt::Taken;
    let written = match leases.get_opt(&seat.name).await? {
        None => leases.create(&PostParams::default(), &fresh(seat)).await,
        Some(mut lease) => {
            let wanted_by = lease
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(WANTED_BY))
                .cloned();
            let spec = lease.spec.get_or_insert_default();
            match watched.step(spec, &seat.holder, Instant::now()) {
                Step::Wait if wants && wanted_by.as_ref() != Some(&seat.holder) => {
                    let annotations = lease.metadata.annotations.get_or_insert_default();
                    annotations.insert(WANTED_BY.to_owned(), seat.holder.clone());
                    became = Attempt::Elsewhere;
                }
                Step::Wait => return Ok(Attempt::Elsewhere),
                Step::Renew if wanted_by.as_ref().is_some_and(|by| *by != seat.holder) => return Ok(Attempt::AskedFor),
                // Left to the one that asked for it; should that be gone, the request has to be, too.
                Step::Take if !wants && watched.is_promised(wanted_by.as_deref(), &seat.holder, Instant::now()) => {
                    return Ok(Attempt::Elsewhere);
                }
                Step::Renew => {
                    became = Attempt::Renewed;
                    spec.renew_time = Some(MicroTime(Timestamp::now()));
                }
                Step::Take => {
                    *spec = LeaseSpec {
                        lease_transitions: Some(spec.lease_transitions.unwrap_or(0).saturating_add(1)),
                        ..held(seat)
                    };
                    if let Some(annotations) = &mut lease.metadata.annotations {
                        annotations.remove(WANTED_BY);
                    }
                }
            }
            leases.replace(&seat.name, &PostParams::default(), &lease).await
        }
    };
    match written {
        Ok(_) => Ok(became),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Elsewhere),
        Err(error) => Err(error),
    }
}

/// Lets go of a lease that is ours.
async fn leave(leases: &Api<Lease>, seat: &Seat) -> Result<(), kube::Error> {
    let Some(mut lease) = leases.get_opt(&seat.name).await? else {
        return Ok(());
    };
    if let Some(spec) = lease
        .spec
        .as_mut()
        .filter(|spec| spec.holder_identity.as_deref() == Some(&seat.holder))
    {
        spec.holder_identity = None;
        leases.replace(&seat.name, &PostParams::default(), &lease).await?;
    }
    Ok(())
}

fn fresh(seat: &Seat) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(seat.name.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(held(seat)),
    }
}

fn held(seat: &Seat) -> LeaseSpec {
    let now = MicroTime(Timestamp::now());
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
        let start = Instant::now();
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

    #[test]
    fn the_times_leave_no_moment_for_two() {
        assert!(GIVE_UP + PATIENCE + EVERY < LASTS);
    }
}
