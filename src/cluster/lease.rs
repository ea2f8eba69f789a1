//! Who writes to the API server: of several replicas the one that holds a Lease.
//!
//! As client-go's leader election does it: a holder renews; a lease that was not renewed for as long as it lasts, by our own clock since
//! we saw it change, may be taken. What is at stake is an Event or a status written twice, not safety.

use std::time::Duration;

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
}

/// Holds the lease as well as it can, for ever, and says whether we do.
pub async fn hold(client: Client, seat: Seat, leads: watch::Sender<bool>) {
    let leases: Api<Lease> = Api::namespaced(client, &seat.namespace);
    let mut watched = Watched {
        seen: None,
        at: Instant::now(),
    };
    let mut renewed: Option<Instant> = None;
    let mut complained = String::new();
    loop {
        let begun = Instant::now();
        match timeout(PATIENCE, attempt(&leases, &seat, &mut watched)).await {
            Ok(Ok(is_held)) => {
                renewed = is_held.then_some(begun);
                complained.clear();
            }
            Ok(Err(error)) => complain(&mut complained, &seat, &Refusal::from(error).to_string()),
            Err(_) => complain(&mut complained, &seat, "the API server does not answer"),
        }
        let is_leader = renewed.is_some_and(|at| at.elapsed() < GIVE_UP);
        let changed = leads.send_if_modified(|leads| std::mem::replace(leads, is_leader) != is_leader);
        if changed {
            tracing::info!(
                lease = seat.name,
                is_leader,
                "who writes Events and statuses has changed"
            );
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Once for each different complaint.
fn complain(complained: &mut String, seat: &Seat, why: &str) {
    if complained != why {
        let lease = format!("{}/{}", seat.namespace, seat.name);
        tracing::warn!(
            lease,
            why,
            "the lease can not be held: no Events and no statuses are written from here"
        );
        why.clone_into(complained);
    }
}

/// Whether we hold the lease now. A write that comes too late is refused for its resource version, and means that we do not.
async fn attempt(leases: &Api<Lease>, seat: &Seat, watched: &mut Watched) -> Result<bool, kube::Error> {
    let written = match leases.get_opt(&seat.name).await? {
        None => leases.create(&PostParams::default(), &fresh(seat)).await,
        Some(mut lease) => {
            let spec = lease.spec.get_or_insert_default();
            match watched.step(spec, &seat.holder, Instant::now()) {
                Step::Wait => return Ok(false),
                Step::Renew => spec.renew_time = Some(MicroTime(Timestamp::now())),
                Step::Take => {
                    *spec = LeaseSpec {
                        lease_transitions: Some(spec.lease_transitions.unwrap_or(0).saturating_add(1)),
                        ..held(seat)
                    }
                }
            }
            leases.replace(&seat.name, &PostParams::default(), &lease).await
        }
    };
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
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
