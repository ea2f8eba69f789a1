//! Evictions of our own: from a filter call that found no node to the calls that the API server would get.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apportion::server::endpoints::Endpoints as _;
use apportion::service::bind::BindLeadership;
use apportion::service::evict::{Evictions, Evictor};
use apportion::service::{App, Metrics, Settings, State};
use apportion_core::extender::evict::PreemptionRequest;
use apportion_core::inventory::{Ledger, PodEntry, PodRecord};
use apportion_testing::{set, t4_renamed};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fixtures::{World, args, ledger, on, pod, policies};

const NAMESPACES: &[(&str, &[(&str, &str)])] = &[
    ("lab", &[("apportion.dev/policy", "lab")]),
    ("apart", &[("apportion.dev/policy", "apart")]),
];

/// An API server that writes down what it is asked.
#[derive(Debug, Default)]
struct Scribe {
    calls: Mutex<Vec<String>>,
    /// Whether the pod has got a node meanwhile.
    placed: AtomicBool,
    /// Whom a disruption budget protects.
    protected: Mutex<Option<&'static str>>,
}

impl Scribe {
    fn write(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Evictor for Scribe {
    fn is_waiting<'e>(&'e self, wish: &'e PreemptionRequest) -> BoxFuture<'e, Result<bool, String>> {
        self.write(format!("look {}", wish.pod));
        let waits = !self.placed.load(Ordering::Relaxed);
        Box::pin(async move { Ok(waits) })
    }

    fn evict<'e>(&'e self, victim: &'e PodEntry, rehearsal: bool) -> BoxFuture<'e, Result<(), String>> {
        let verb = if rehearsal { "rehearse" } else { "evict" };
        self.write(format!("{verb} {}", victim.key()));
        let protected = *self.protected.lock().unwrap() == Some(&*victim.record.name);
        Box::pin(async move {
            if protected {
                return Err("Cannot evict pod as it would violate the pod's disruption budget.".to_owned());
            }
            Ok(())
        })
    }

    fn tell<'e>(&'e self, wish: &'e PreemptionRequest, evicted: &'e [Arc<PodEntry>]) -> BoxFuture<'e, ()> {
        self.write(format!("tell {} of {}", wish.pod, evicted.len()));
        Box::pin(async {})
    }
}

fn shares(namespace: &str, name: &str, priority: i32) -> Value {
    let pod = set(pod(&[("gpu.shared", "1")]), "/metadata/namespace", json!(namespace));
    let pod = set(pod, "/metadata/uid", json!(format!("uid-{name}")));
    let pod = set(pod, "/metadata/name", json!(name));
    set(pod, "/spec/priority", json!(priority))
}

struct Bench {
    app: Arc<App>,
    scribe: Arc<Scribe>,
    wanted: Arc<AtomicBool>,
    _seat: watch::Sender<Option<Duration>>,
}

impl Bench {
    /// A node with two pods of a laboratory; pod `apart/p` waits.
    fn new(has_seat: bool) -> Self {
        let policies = policies([
            ("lab", "{strategies: [{strategy: time-slicing}]}"),
            (
                "apart",
                "{strategies: [{strategy: time-slicing}], limits: {tenants: Apart}}",
            ),
        ]);
        let there = [on(shares("lab", "x", 0), "a"), on(shares("lab", "y", 5), "a")];
        let mut ledger: Ledger = ledger(&[t4_renamed("time-slicing").named("a")], &there, NAMESPACES);
        let waiting = serde_json::from_str(&Self::pod().to_string()).map(|pod| PodRecord::of(&pod));
        ledger.put_pod("apart/p", waiting.unwrap());
        let world = World::new(policies, ledger);
        let state = State {
            policies: Arc::new(world.policies),
            inventory: Some(Arc::new(world.inventory)),
            ..State::default()
        };
        let app = Arc::new(App::new(state, Settings::default(), Arc::new(Metrics::default())));
        let (evictions, wished) = Evictions::new();
        app.evict_through(evictions.clone());
        let scribe = Arc::new(Scribe::default());
        let hour = Duration::from_hours(1);
        let (seat, until) = watch::channel(has_seat.then_some(hour));
        let wanted = Arc::new(AtomicBool::new(false));
        let ours = BindLeadership {
            until,
            wanted: Arc::clone(&wanted),
        };
        let evictor: Arc<dyn Evictor> = Arc::<Scribe>::clone(&scribe);
        tokio::spawn(evictions.fulfil(Arc::clone(&app), evictor, ours, wished));
        Bench {
            app,
            scribe,
            wanted,
            _seat: seat,
        }
    }

    fn pod() -> Value {
        shares("apart", "p", 9)
    }

    /// What is asked of the API server after a filter call: so many calls as are expected, or more.
    async fn filter(&self, pod: &Value, expected: &[&str]) {
        let answer = self.app.filter(args("apart", pod, &["a"]).to_string().as_bytes());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["NodeNames"], json!([]));
        assert_eq!(
            answer["FailedNodes"],
            json!({}),
            "A.5 the scheduler would find nobody to evict"
        );
        let (mut calls, end) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        // What is not to come is waited for as long as it would take, and somewhat longer.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        loop {
            calls.append(&mut self.scribe.take());
            if calls.len() >= expected.len() || Instant::now() > end {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(calls, expected);
    }

    fn kept(&self) -> Vec<String> {
        let reservations = self.app.reservations();
        reservations.of("uid-p").map(|(node, _)| node.to_owned()).collect()
    }
}

#[tokio::test]
async fn all_are_asked_about_before_one_is_evicted() {
    let bench = Bench::new(true);
    let expected = [
        "look apart/p",
        "rehearse lab/y",
        "rehearse lab/x",
        "evict lab/y",
        "evict lab/x",
        "tell apart/p of 2",
    ];
    bench.filter(&Bench::pod(), &expected).await;
    assert_eq!(bench.kept(), ["a"]);
    let metrics = bench.app.metrics();
    assert!(
        metrics.contains("apportion_evictions_total{result=\"evicted\"} 2"),
        "{metrics}"
    );
    // The room is kept, and nobody is evicted twice for it.
    bench.filter(&Bench::pod(), &[]).await;
}

#[tokio::test]
async fn who_is_protected_saves_the_others() {
    let bench = Bench::new(true);
    *bench.scribe.protected.lock().unwrap() = Some("x");
    let expected = ["look apart/p", "rehearse lab/y", "rehearse lab/x"];
    bench.filter(&Bench::pod(), &expected).await;
    assert_eq!(bench.kept(), [""; 0], "nobody waits for that room");
    // The node is left alone for a while.
    bench.filter(&Bench::pod(), &[]).await;
}

#[tokio::test]
async fn nobody_is_evicted_in_vain() {
    let bench = Bench::new(true);
    bench.scribe.placed.store(true, Ordering::Relaxed);
    bench.filter(&Bench::pod(), &["look apart/p"]).await;
    let another = set(Bench::pod(), "/metadata/uid", json!("uid-other"));
    bench.scribe.placed.store(false, Ordering::Relaxed);
    // The pod of that UID is not the one that waits.
    bench.filter(&another, &["look apart/p"]).await;
    let never = set(Bench::pod(), "/spec/preemptionPolicy", json!("Never"));
    bench.filter(&never, &[]).await;
    assert_eq!(bench.kept(), [""; 0]);
}

#[tokio::test]
async fn without_the_seat_nobody_is_evicted() {
    let bench = Bench::new(false);
    bench.filter(&Bench::pod(), &[]).await;
    assert!(
        bench.wanted.load(Ordering::Relaxed),
        "another replica is asked to hand over"
    );
    assert_eq!(bench.kept(), [""; 0]);
}
