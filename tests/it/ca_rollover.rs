//! Two years of CA rollovers by three replicas on a simulated clock: callers always trust the
//! certificate they get.

use std::sync::Arc;
use std::time::Duration;

use apportion::tls::authority::{Authority, Plan};
use apportion::tls::ca::CaCertificate;
use apportion::tls::leaf::Leaf;
use apportion::tls::lifetimes::Lifetimes;
use apportion::tls::stored::{self, Data};
use apportion::tls::trust::{BundleState, TrustDelay};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;
const SERVICE: &str = "apportion.apportion-system.svc";

/// A step of a replica, `at` seconds after the start.
#[derive(Clone, Copy, Debug)]
struct Event {
    at: i64,
    replica: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// Reads the Secret.
    Read,
    /// Acts on what it read, which may be stale.
    Act,
    /// Loses all that it had in memory.
    Restart,
}

struct Replica {
    /// Seconds that its clock is ahead.
    skew: i64,
    read: (u64, Option<Authority>),
    trust: TrustDelay,
    leaf: Option<Leaf>,
}

/// The Secret and the webhook configuration.
struct World {
    lifetimes: Lifetimes,
    start: Timestamp,
    version: u64,
    secret: Data,
    /// Each `caBundle` and when it was written.
    bundles: Vec<(i64, Vec<CaCertificate>)>,
    plans: Vec<Plan>,
    leaves: usize,
    verified: usize,
}

impl World {
    fn clock(&self, at: i64, skew: i64) -> Timestamp {
        self.start + SignedDuration::from_secs(at + skew)
    }

    fn read(&self) -> (u64, Option<Authority>) {
        (self.version, stored::read(&self.secret).unwrap())
    }

    fn hold(&mut self, at: i64, bundle: Vec<CaCertificate>) -> BundleState {
        if self.bundles.last().is_some_and(|(_, held)| *held == bundle) {
            return BundleState::Current;
        }
        self.bundles.push((at, bundle));
        BundleState::Written
    }

    /// Acts as a replica does, with the same parts in the same order.
    fn act(&mut self, at: i64, replica: &mut Replica) {
        let now = self.clock(at, replica.skew);
        let sight = loop {
            let held = match &replica.read.1 {
                None => BundleState::Current,
                Some(authority) => {
                    let shown = replica.leaf.as_ref().map(Leaf::issuer);
                    self.hold(at, authority.trusted(shown, now))
                }
            };
            let plan = Plan::of(replica.read.1.as_ref(), now, &self.lifetimes);
            if plan == Plan::Keep {
                break held;
            }
            let planned = plan.apply(replica.read.1.as_ref(), now, &self.lifetimes).unwrap();
            if self.version == replica.read.0 {
                self.version += 1;
                self.secret = stored::write(&planned);
                self.plans.push(plan);
            }
            replica.read = self.read();
        };
        let authority = replica.read.1.as_ref().unwrap();
        let wait = replica.trust.wait(authority, sight, now, &self.lifetimes);
        let ca = authority.signing();
        if wait.is_zero()
            && replica
                .leaf
                .as_ref()
                .is_none_or(|leaf| leaf.is_due(ca, now, &self.lifetimes))
        {
            replica.leaf = Some(Leaf::sign(ca, &[SERVICE.to_owned()], now, &self.lifetimes).unwrap());
            self.leaves += 1;
            for (_, bundle) in self.callers(at, 0) {
                verify(replica.leaf.as_ref().unwrap(), bundle, now);
            }
            self.verified += 1;
        }
    }

    /// The bundles that some caller may still have if updates take this long to propagate.
    fn callers(&self, at: i64, propagation: i64) -> impl Iterator<Item = &(i64, Vec<CaCertificate>)> {
        let from = self
            .bundles
            .partition_point(|(written, _)| *written <= at - propagation);
        self.bundles[from.saturating_sub(1)..].iter()
    }

    fn check(&self, at: i64, replicas: &[Replica]) {
        // In the first days, no update has had longer to propagate.
        let settle = i64::try_from(self.lifetimes.settle().as_secs()).unwrap();
        let told_long_ago = self.bundles.get(1).is_some_and(|(first, _)| at > first + 7 * DAY);
        let propagation = if told_long_ago { 6 * DAY } else { settle };
        for leaf in replicas.iter().filter_map(|replica| replica.leaf.as_ref()) {
            for (written, bundle) in self.callers(at, propagation) {
                assert!(
                    bundle.contains(leaf.issuer()),
                    "at {at} a caller holds the bundle of {written} only"
                );
            }
            for skew in [-10 * MINUTE, 10 * MINUTE] {
                assert!(
                    leaf.material().is_valid_at(self.clock(at, skew)),
                    "at {at} a certificate is not valid"
                );
                assert!(
                    leaf.issuer().is_valid_at(self.clock(at, skew)),
                    "at {at} an authority is not valid"
                );
            }
        }
    }
}

/// Verifies a certificate as a TLS client does.
fn verify(leaf: &Leaf, bundle: &[CaCertificate], now: Timestamp) {
    let mut roots = RootCertStore::empty();
    for trusted in bundle {
        roots.add(trusted.der().clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let name = ServerName::try_from(SERVICE).unwrap();
    let second = Duration::from_secs(now.as_second().try_into().unwrap());
    let cert = &leaf.material().certified_key().cert[0];
    verifier
        .verify_server_cert(cert, &[], &name, &[], UnixTime::since_unix_epoch(second))
        .unwrap();
}

/// The steps of one replica: when it reads, how long it takes to act, when it is cut off for days,
/// when it restarts.
fn steps_of(replica: usize) -> impl Strategy<Value = Vec<Event>> {
    let look = (1..=12 * 60 * MINUTE, 0..30_i64, 0..200_u32, 0..9 * DAY);
    (0..30 * DAY, prop::collection::vec(look, 3500)).prop_map(move |(mut at, looks)| {
        let mut events = Vec::new();
        for (gap, slow, luck, absence) in looks {
            let event = |at, what| Event { at, replica, what };
            at += if luck == 0 { absence } else { gap };
            if luck == 1 {
                events.push(event(at, What::Restart));
            }
            events.push(event(at, What::Read));
            events.push(event(at + slow, What::Act));
            // A new replica reads again after a wait, so not before the previous one has acted.
            events.push(event(at + slow + 6, What::Read));
            events.push(event(at + slow + 6, What::Act));
            at += slow + 7;
        }
        events
    })
}

/// The clocks and steps of all replicas. Debug output is short: a failure prints the seed, not
/// thousands of steps.
struct Timeline(Vec<i64>, Vec<Event>);

impl std::fmt::Debug for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "clocks {:?} and {} events", self.0, self.1.len())
    }
}

fn timeline() -> impl Strategy<Value = Timeline> {
    let skews = prop::collection::vec(-5 * MINUTE..=5 * MINUTE, 3);
    (skews, steps_of(0), steps_of(1), steps_of(2)).prop_map(|(skews, first, second, third)| {
        let mut events = [first, second, third].concat();
        events.retain(|event| event.at < 730 * DAY);
        events.sort_by_key(|event| event.at);
        Timeline(skews, events)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn callers_always_trust_the_certificate_that_is_served(Timeline(skews, events) in timeline()) {
        let mut world = World {
            lifetimes: Lifetimes::default(),
            start: "2026-03-01T12:00:00Z".parse().unwrap(),
            version: 0,
            secret: Data::new(),
            // Before the first bundle is written, callers have none.
            bundles: vec![(i64::MIN, Vec::new())],
            plans: Vec::new(),
            leaves: 0,
            verified: 0,
        };
        let mut replicas: Vec<_> = skews
            .into_iter()
            .map(|skew| Replica { skew, read: (0, None), trust: TrustDelay::default(), leaf: None })
            .collect();
        for event in events {
            let replica = &mut replicas[event.replica];
            match event.what {
                What::Read => replica.read = world.read(),
                What::Act => world.act(event.at, replica),
                What::Restart => (replica.leaf, replica.trust) = (None, TrustDelay::default()),
            }
            world.check(event.at, &replicas);
        }
        let count = |plan| world.plans.iter().filter(|done| **done == plan).count();
        prop_assert_eq!(count(Plan::Create), 1);
        prop_assert!(count(Plan::Switch) >= 2 && count(Plan::Drop) >= 2, "{:?}", world.plans);
        prop_assert!(world.leaves > 100 && world.verified == world.leaves, "{} leaves", world.leaves);
    }
}
