//! Preemption by Apportion: from a filter call without a node that fits to the calls to the API
//! server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apportion::server::endpoints::Endpoints as _;
use apportion::service::bind::{BindLeadership, CallError};
use apportion::service::evict::{Evictions, Evictor};
use apportion::service::{App, Handlers, Metrics, Settings, State};
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

/// A fake API server that records calls.
#[derive(Debug, Default)]
struct RecordingEvictor {
    calls: Mutex<Vec<String>>,
    /// Whether the pod has been bound in the meantime.
    placed: AtomicBool,
    /// The pod that a disruption budget protects.
    protected: Mutex<Option<&'static str>>,
}

impl RecordingEvictor {
    fn write(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Evictor for RecordingEvictor {
    fn is_waiting<'e>(&'e self, wish: &'e PreemptionRequest) -> BoxFuture<'e, Result<bool, CallError>> {
        self.write(format!("look {}", wish.pod));
        let waits = !self.placed.load(Ordering::Relaxed);
        Box::pin(async move { Ok(waits) })
    }

    fn evict<'e>(&'e self, victim: &'e PodEntry, rehearsal: bool) -> BoxFuture<'e, Result<(), CallError>> {
        let verb = if rehearsal { "rehearse" } else { "evict" };
        self.write(format!("{verb} {}", victim.key()));
        let protected = *self.protected.lock().unwrap() == Some(&*victim.record.name);
        Box::pin(async move {
            if protected {
                let message = "Cannot evict pod as it would violate the pod's disruption budget.";
                return Err(CallError::Refused(message.to_owned()));
            }
            Ok(())
        })
    }

    fn report<'e>(&'e self, wish: &'e PreemptionRequest, evicted: &'e [Arc<PodEntry>]) -> BoxFuture<'e, ()> {
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

struct Setup {
    app: Arc<App>,
    handlers: Handlers,
    evictor: Arc<RecordingEvictor>,
    wanted: Arc<AtomicBool>,
    _leader: watch::Sender<Option<Duration>>,
}

impl Setup {
    /// A node with two pods of namespace `lab`; pod `apart/p` waits.
    fn new(is_leader: bool) -> Self {
        let policies = policies([
            ("lab", "{strategies: [{strategy: time-slicing}]}"),
            (
                "apart",
                "{strategies: [{strategy: time-slicing}], limits: {tenants: Apart}}",
            ),
        ]);
        let there = [on(shares("lab", "x", 0), "a"), on(shares("lab", "y", 5), "a")];
        let mut ledger: Ledger = ledger(&[t4_renamed("time-slicing").named("a")], &there, NAMESPACES);
        let waiting = serde_json::from_str(&Self::pod().to_string()).map(|pod| PodRecord::from_pod(&pod));
        ledger.put_pod("apart/p", waiting.unwrap());
        let world = World::new(policies, ledger);
        let state = State {
            policies: Arc::new(world.policies),
            inventory: Some(Arc::new(world.inventory)),
            ..State::default()
        };
        let app = Arc::new(App::new(state, Settings::default(), Arc::new(Metrics::default())));
        let (evictions, wished) = Evictions::new();
        let handlers = Handlers {
            evictions: Some(evictions.clone()),
            ..Handlers::new(Arc::clone(&app))
        };
        let evictor = Arc::new(RecordingEvictor::default());
        let hour = Duration::from_hours(1);
        let (leader, until) = watch::channel(is_leader.then_some(hour));
        let wanted = Arc::new(AtomicBool::new(false));
        let leadership = BindLeadership {
            until,
            wanted: Arc::clone(&wanted),
        };
        let through: Arc<dyn Evictor> = Arc::<RecordingEvictor>::clone(&evictor);
        tokio::spawn(evictions.run(Arc::clone(&app), through, leadership, wished));
        Setup {
            app,
            handlers,
            evictor,
            wanted,
            _leader: leader,
        }
    }

    fn pod() -> Value {
        shares("apart", "p", 9)
    }

    /// Filters, then checks the calls to the API server.
    async fn filter(&self, pod: &Value, expected: &[&str]) {
        let answer = self
            .handlers
            .filter_now(args("apart", pod, &["a"]).to_string().as_bytes());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["NodeNames"], json!([]));
        assert_eq!(
            answer["FailedNodes"],
            json!({}),
            "the scheduler must not preempt itself"
        );
        let (mut calls, end) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        // Waits long enough to see calls that should not come.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        loop {
            calls.append(&mut self.evictor.take());
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
async fn every_eviction_is_dry_run_before_the_first_one() {
    let setup = Setup::new(true);
    let expected = [
        "look apart/p",
        "rehearse lab/y",
        "rehearse lab/x",
        "evict lab/y",
        "evict lab/x",
        "tell apart/p of 2",
    ];
    setup.filter(&Setup::pod(), &expected).await;
    assert_eq!(setup.kept(), ["a"]);
    let metrics = setup.handlers.metrics();
    assert!(
        metrics.contains("apportion_evictions_total{result=\"evicted\"} 2"),
        "{metrics}"
    );
    // The node is reserved, and nothing is evicted twice.
    setup.filter(&Setup::pod(), &[]).await;
}

#[tokio::test]
async fn a_disruption_budget_stops_all_evictions() {
    let setup = Setup::new(true);
    *setup.evictor.protected.lock().unwrap() = Some("x");
    let expected = ["look apart/p", "rehearse lab/y", "rehearse lab/x"];
    setup.filter(&Setup::pod(), &expected).await;
    assert_eq!(setup.kept(), [""; 0], "nothing is reserved");
    // The node is not tried again for a while.
    setup.filter(&Setup::pod(), &[]).await;
}

#[tokio::test]
async fn no_pod_is_evicted_if_the_pod_has_a_node_or_changed() {
    let setup = Setup::new(true);
    setup.evictor.placed.store(true, Ordering::Relaxed);
    setup.filter(&Setup::pod(), &["look apart/p"]).await;
    let another = set(Setup::pod(), "/metadata/uid", json!("uid-other"));
    setup.evictor.placed.store(false, Ordering::Relaxed);
    // The waiting pod has another UID.
    setup.filter(&another, &["look apart/p"]).await;
    let never = set(Setup::pod(), "/spec/preemptionPolicy", json!("Never"));
    setup.filter(&never, &[]).await;
    assert_eq!(setup.kept(), [""; 0]);
}

#[tokio::test]
async fn only_the_leader_evicts() {
    let setup = Setup::new(false);
    setup.filter(&Setup::pod(), &[]).await;
    assert!(setup.wanted.load(Ordering::Relaxed), "the leader is asked to hand over");
    assert_eq!(setup.kept(), [""; 0]);
}
