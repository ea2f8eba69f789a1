//! Binding pods, with an API server that does what a row says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apportion::server::drain::DrainTimes;
use apportion::server::endpoints::Endpoints;
use apportion::server::limits::Limits;
use apportion::server::listener::{Listener, Transport};
use apportion::server::role::Role;
use apportion::server::run::run;
use apportion::service::bind::{BindError, BindLeadership, Binder, Binding, Looked};
use apportion::service::{App, Metrics, Settings, State};
use apportion_core::extender::bind::BindingArgs;
use apportion_core::inventory::{Ledger, NodeEntry, PodRecord};
use apportion_core::policy::PolicySet;
use apportion_testing::{Naming, Node, set};
use axum::body::Bytes;
use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use super::fixtures::{on, pod, policies};
use super::test_server::plain_client;

/// What the API server does with a call to bind.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// What it should.
    Binds,
    /// It says no, for a reason that has nothing to do with the pod.
    Refuses,
    /// Nobody hears its answer, and it has bound the pod.
    LostAfter,
    /// Nobody hears its answer, and it will not bind the pod.
    LostBefore,
    /// Somebody else binds the pod a moment before.
    Beaten(&'static str),
}

/// The API server: pods by `namespace/name`.
#[derive(Debug, Default)]
struct Fake {
    pods: Mutex<BTreeMap<String, Value>>,
    turns: Mutex<VecDeque<Turn>>,
    calls: AtomicUsize,
    slow: AtomicBool,
}

impl Fake {
    fn put(&self, key: &str, pod: Value) {
        self.pods.lock().unwrap().insert(key.to_owned(), pod);
    }

    fn get(&self, key: &str) -> Option<Value> {
        self.pods.lock().unwrap().get(key).cloned()
    }

    /// As the registry of the API server does: the UID must be the pod's, and a pod is bound once.
    fn assign(&self, key: &str, uid: &str, node: &str) -> Result<(), BindError> {
        let mut pods = self.pods.lock().unwrap();
        let Some(pod) = pods.get_mut(key) else {
            return Err(BindError::Refused(format!("pods \"{key}\" not found")));
        };
        if pod["metadata"]["uid"] != uid {
            return Err(BindError::Conflict(
                "the UID in the precondition is another pod's".to_owned(),
            ));
        }
        if let Some(bound) = pod["spec"]["nodeName"].as_str() {
            return Err(BindError::Conflict(format!("pod is already assigned to node {bound}")));
        }
        pod["spec"]["nodeName"] = json!(node);
        Ok(())
    }

    async fn pause(&self, key: &str) {
        if self.slow.load(Ordering::Relaxed) {
            let spread = key.bytes().map(u64::from).sum::<u64>() % 7;
            tokio::time::sleep(Duration::from_millis(spread)).await;
        }
    }
}

impl Binder for Fake {
    fn look<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<Looked>, String>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let pod = self.get(&format!("{namespace}/{name}"));
            Ok(pod.map(|pod| Looked {
                uid: pod["metadata"]["uid"].as_str().unwrap().to_owned(),
                record: record(&pod).map(Box::new),
            }))
        })
    }

    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let key = format!("{}/{}", &*args.pod_namespace, &*args.pod_name);
            self.pause(&key).await;
            let turn = self.turns.lock().unwrap().pop_front().unwrap_or(Turn::Binds);
            let lost = || BindError::Unknown("the API server does not answer".to_owned());
            match turn {
                Turn::Binds => self.assign(&key, &args.pod_uid, &args.node),
                Turn::Refuses => Err(BindError::Refused("too many requests".to_owned())),
                Turn::LostAfter => {
                    self.assign(&key, &args.pod_uid, &args.node)?;
                    Err(lost())
                }
                Turn::LostBefore => Err(lost()),
                Turn::Beaten(node) => {
                    self.assign(&key, &args.pod_uid, node)?;
                    self.assign(&key, &args.pod_uid, &args.node)
                }
            }
        })
    }
}

fn record(pod: &Value) -> Option<PodRecord> {
    PodRecord::of(&serde_json::from_str(&pod.to_string()).unwrap())
}

/// A replica of Apportion with room for 8 on each of two nodes: four GPUs in 16 slices, at most 2 shares of each.
struct Stage {
    app: Arc<App>,
    api: Arc<Fake>,
    ledger: Mutex<Ledger>,
    policies: Arc<PolicySet>,
    seat: watch::Sender<Option<Duration>>,
    wanted: Arc<AtomicBool>,
}

impl Stage {
    fn new() -> Self {
        let policies = Arc::new(policies([(
            "two",
            "{limits: {sharesPerGPU: 2}, strategies: [{strategy: time-slicing}]}",
        )]));
        let mut ledger = Ledger::default();
        ledger.set_policies(Arc::clone(&policies));
        for name in ["a", "b"] {
            let node = Node::shared("Tesla-T4", (4, 4), 15360, "time-slicing", Naming::Renamed).named(name);
            ledger.put_node(NodeEntry::of(
                serde_json::from_str(&node.to_json().to_string()).unwrap(),
            ));
        }
        ledger.put_namespace("ns", [("apportion.dev/policy", "two")].into_iter().collect());
        let app = Arc::new(App::new(
            State::default(),
            Settings::default(),
            Arc::new(Metrics::default()),
        ));
        let (seat, until) = watch::channel(Some(Duration::from_mins(10)));
        let (api, wanted) = (Arc::new(Fake::default()), Arc::new(AtomicBool::new(false)));
        app.bind_through(Binding {
            binder: Arc::clone(&api) as Arc<dyn Binder>,
            seat: BindLeadership {
                until,
                wanted: Arc::clone(&wanted),
            },
        });
        let stage = Stage {
            app,
            api,
            ledger: Mutex::new(ledger),
            policies,
            seat,
            wanted,
        };
        stage.publish(&[]);
        stage
    }

    /// As the writer does: first the state, then what is settled by it.
    fn publish(&self, placed: &[&str]) {
        let ledger = self.ledger.lock().unwrap();
        self.app.replace(State {
            policies: Arc::clone(&self.policies),
            inventory: Some(Arc::new(ledger.inventory().clone())),
            ..State::default()
        });
        let mut reservations = self.app.reservations();
        for uid in placed {
            reservations.settle(uid);
        }
    }

    /// A pod that the API server has, and that no watch has brought yet.
    fn unseen(&self, name: &str) {
        let metadata = json!({"namespace": "ns", "name": name, "uid": format!("uid-{name}")});
        self.api.put(
            &format!("ns/{name}"),
            set(pod(&[("gpu.shared", "1")]), "/metadata", metadata),
        );
    }

    /// The watch brings the pod as the API server has it now, or that it is gone.
    fn see(&self, name: &str) {
        let key = format!("ns/{name}");
        let pod = self.api.get(&key);
        let record = pod.as_ref().and_then(record);
        let waits = record.as_ref().is_some_and(|record| !record.is_on_a_node());
        self.ledger.lock().unwrap().put_pod(&key, record);
        let uid = format!("uid-{name}");
        let placed = [&*uid];
        self.publish(if waits { &[] } else { &placed });
    }

    /// A pod that waits, and is known.
    fn pod(&self, name: &str) {
        self.unseen(name);
        self.see(name);
    }

    /// Fills a node with pods that somebody else has bound.
    fn fill(&self, node: &str, count: usize) {
        for at in 0..count {
            let name = format!("other-{node}-{at}");
            self.unseen(&name);
            let key = format!("ns/{name}");
            self.api.put(&key, on(self.api.get(&key).unwrap(), node));
            self.see(&name);
        }
    }

    async fn bind(&self, name: &str, node: &str) -> String {
        self.bind_uid(name, &format!("uid-{name}"), node).await
    }

    async fn bind_uid(&self, name: &str, uid: &str, node: &str) -> String {
        let args = json!({"PodName": name, "PodNamespace": "ns", "PodUID": uid, "Node": node});
        let before = self.api.calls.load(Ordering::Relaxed);
        let answer = Arc::clone(&self.app).bind(Bytes::from(args.to_string())).await;
        let calls = self.api.calls.load(Ordering::Relaxed) - before;
        assert!(calls <= 2, "{calls} calls for one binding");
        assert_eq!(answer.status, 200);
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["Error"].as_str().unwrap().to_owned()
    }

    fn node_of(&self, name: &str) -> Value {
        self.api.get(&format!("ns/{name}")).unwrap()["spec"]["nodeName"].clone()
    }

    fn reserved(&self) -> usize {
        self.app.reservations().len()
    }

    fn turns(&self, turns: &[Turn]) {
        self.api.turns.lock().unwrap().extend(turns);
    }

    /// How many more pods a node takes, as bindings have it; they are given back.
    async fn room(&self, node: &str) -> usize {
        let mut room = 0;
        loop {
            let name = format!("probe-{room}");
            self.pod(&name);
            if !self.bind(&name, node).await.is_empty() {
                break;
            }
            room += 1;
        }
        for at in 0..=room {
            let name = format!("probe-{at}");
            self.api.pods.lock().unwrap().remove(&format!("ns/{name}"));
            self.see(&name);
        }
        room
    }
}

#[tokio::test]
async fn a_binding_counts_from_its_decision_to_its_pod() {
    let stage = Stage::new();
    stage.fill("a", 7);
    stage.pod("p");
    stage.pod("q");
    assert_eq!(stage.bind("p", "a").await, "");
    assert_eq!((stage.node_of("p"), stage.reserved()), (json!("a"), 1));
    let full = "apportion: 8 of 8 shares of 4 GPUs taken, 1 needed";
    assert_eq!(
        stage.bind("q", "a").await,
        full,
        "p is not in the inventory, and counts"
    );
    stage.see("p");
    assert_eq!(stage.reserved(), 0, "settled by the watch");
    assert_eq!(
        stage.bind("q", "a").await,
        full,
        "and counts once, by what the watch brought"
    );
    assert_eq!((stage.node_of("q"), stage.reserved()), (Value::Null, 0));
    assert_eq!(stage.bind("q", "b").await, "");
}

#[tokio::test]
async fn limits_at_work_are_counted() {
    let stage = Stage::new();
    stage.fill("a", 7);
    stage.pod("p");
    stage.pod("q");
    assert_eq!(stage.bind("p", "a").await, "");
    stage.bind("q", "a").await;
    let args = json!({"Pod": stage.api.get("ns/q").unwrap(), "NodeNames": ["a", "b", "new"], "Nodes": null});
    let answer = stage.app.filter(args.to_string().as_bytes());
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["NodeNames"], json!(["b"]));
    assert_eq!(answer.get("Lacks").or(answer.get("lacks")), None, "not sent");
    let metrics = stage.app.metrics();
    for line in [
        "apportion_bindings_total{result=\"bound\"} 1",
        "apportion_bindings_total{result=\"refused\"} 1",
        "apportion_reservations{purpose=\"binding\"} 1",
        "apportion_reservations{purpose=\"kept\"} 0",
        "apportion_filter_nodes_left_out_total{lack=\"shares_per_gpu\"} 1",
        "apportion_filter_nodes_left_out_total{lack=\"unknown\"} 1",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn a_repeat_changes_nothing() {
    let stage = Stage::new();
    stage.fill("a", 7);
    stage.pod("p");
    for again in ["first", "before the watch", "again"] {
        assert_eq!(stage.bind("p", "a").await, "", "{again}");
        assert_eq!(stage.reserved(), 1, "{again}");
    }
    assert_eq!(stage.bind("p", "b").await, "apportion: the pod is on node a already");
    stage.see("p");
    assert_eq!(stage.bind("p", "a").await, "", "after the watch");
    assert_eq!(stage.bind("p", "b").await, "apportion: the pod is on node a already");
    assert_eq!((stage.node_of("p"), stage.reserved()), (json!("a"), 0));
    assert_eq!(stage.room("a").await, 0);
    assert_eq!(stage.room("b").await, 8);
}

#[tokio::test]
async fn a_pod_that_no_watch_has_brought_yet() {
    let stage = Stage::new();
    stage.fill("a", 7);
    stage.unseen("p");
    stage.unseen("q");
    assert_eq!(stage.bind("p", "a").await, "");
    assert_eq!(
        stage.bind("q", "a").await,
        "apportion: 8 of 8 shares of 4 GPUs taken, 1 needed"
    );
    assert_eq!(stage.bind("nobody", "a").await, "apportion: the pod ns/nobody is gone");
}

#[tokio::test]
async fn a_name_that_is_another_pods_by_now() {
    let stage = Stage::new();
    stage.pod("p");
    let gone = "apportion: the pod ns/p is gone";
    assert_eq!(stage.bind_uid("p", "uid-of-yesterday", "a").await, gone);
    // The pod was replaced, and the watch has not brought it.
    let replaced = set(stage.api.get("ns/p").unwrap(), "/metadata/uid", json!("uid-new"));
    stage.api.put("ns/p", replaced);
    assert_eq!(
        stage.bind("p", "a").await,
        "apportion: the pod ns/p is gone",
        "the API server has the last word"
    );
    assert_eq!((stage.node_of("p"), stage.reserved()), (Value::Null, 0));
    assert_eq!(stage.room("a").await, 8);
}

#[tokio::test]
async fn what_is_refused_is_given_back() {
    let stage = Stage::new();
    stage.pod("p");
    stage.turns(&[Turn::Refuses]);
    assert_eq!(stage.bind("p", "a").await, "apportion: too many requests");
    assert_eq!(stage.reserved(), 0);
    assert_eq!(stage.room("a").await, 8);
    assert_eq!(stage.bind("p", "a").await, "", "the next try");
}

#[tokio::test]
async fn an_outcome_that_nobody_knows_counts_on() {
    for (turn, on_a) in [(Turn::LostAfter, true), (Turn::LostBefore, false)] {
        let stage = Stage::new();
        stage.pod("p");
        stage.turns(&[turn]);
        assert_eq!(stage.bind("p", "a").await, "apportion: the API server does not answer");
        assert_eq!(stage.reserved(), 1, "{turn:?}");
        assert_eq!(stage.room("a").await, 7, "{turn:?}");
        // The scheduler tries again, on the same node or on another.
        let elsewhere = stage.bind("p", "b").await;
        if on_a {
            assert_eq!(elsewhere, "apportion: the pod is on node a already");
            assert_eq!((stage.node_of("p"), stage.room("b").await), (json!("a"), 8));
        } else {
            assert_eq!((&*elsewhere, stage.node_of("p")), ("", json!("b")));
            assert_eq!(stage.reserved(), 2, "the first call may still be on its way");
            assert_eq!((stage.room("a").await, stage.room("b").await), (7, 7));
        }
        stage.see("p");
        assert_eq!(stage.reserved(), 0, "{turn:?}");
        let rooms = (stage.room("a").await, stage.room("b").await);
        assert_eq!(rooms, if on_a { (7, 8) } else { (8, 7) }, "{turn:?}");
    }
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_gives_nothing_back() {
    let stage = Stage::new();
    stage.pod("p");
    stage.turns(&[Turn::LostBefore, Turn::Refuses]);
    stage.bind("p", "a").await;
    assert_eq!(stage.bind("p", "a").await, "apportion: too many requests");
    assert_eq!(stage.room("a").await, 7, "the first call may still come through");
    stage.api.pods.lock().unwrap().remove("ns/p");
    stage.see("p");
    assert_eq!(
        (stage.reserved(), stage.room("a").await),
        (0, 8),
        "not after the pod is gone"
    );
}

#[tokio::test]
async fn somebody_else_was_quicker() {
    let stage = Stage::new();
    stage.pod("p");
    stage.turns(&[Turn::Beaten("b")]);
    assert_eq!(stage.bind("p", "a").await, "apportion: the pod is on node b already");
    assert_eq!(stage.reserved(), 0, "what was kept on a is given back");
    stage.pod("q");
    stage.turns(&[Turn::Beaten("a")]);
    assert_eq!(stage.bind("q", "a").await, "", "on the same node");
    assert_eq!(stage.reserved(), 1, "until the watch brings it");
    // Unseen: the one call left says no more than that there was a conflict.
    stage.unseen("r");
    stage.turns(&[Turn::Beaten("b")]);
    assert_eq!(
        stage.bind("r", "a").await,
        "apportion: pod is already assigned to node b"
    );
    assert_eq!(stage.reserved(), 2, "the next try, or the watch, finds out");
    assert_eq!(stage.bind("r", "b").await, "");
    for name in ["p", "q", "r"] {
        stage.see(name);
    }
    assert_eq!(stage.reserved(), 0);
    assert_eq!((stage.room("a").await, stage.room("b").await), (7, 6));
}

#[tokio::test]
async fn a_declaration_that_can_not_be_read_any_more_is_refused_as_by_the_filter() {
    let stage = Stage::new();
    for (name, is_seen) in [("p", true), ("q", false)] {
        stage.unseen(name);
        let key = format!("ns/{name}");
        let annotations = json!({"apportion.dev/gpu-memory": "much"});
        let changed = set(stage.api.get(&key).unwrap(), "/metadata/annotations", annotations);
        stage.api.put(&key, changed.clone());
        if is_seen {
            stage.see(name);
        }
        let args = json!({"Pod": changed, "NodeNames": ["a"], "Nodes": null});
        let answer = stage.app.filter(args.to_string().as_bytes());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let reason = answer["FailedAndUnresolvableNodes"]["a"].as_str().unwrap();
        assert!(reason.contains("apportion.dev/gpu-memory"), "{reason}");
        assert_eq!(stage.bind(name, "a").await, format!("apportion: {reason}"));
        assert_eq!((stage.node_of(name), stage.reserved()), (Value::Null, 0));
    }
}

#[tokio::test]
async fn without_the_seat_nobody_is_bound() {
    let stage = Stage::new();
    stage.pod("p");
    let other = "apportion: another replica of apportion binds pods; it was asked to hand over";
    for until in [None, Some(Duration::ZERO)] {
        stage.wanted.store(false, Ordering::Relaxed);
        stage.seat.send_replace(until);
        assert_eq!(stage.bind("p", "a").await, other);
        assert!(stage.wanted.load(Ordering::Relaxed));
    }
    assert_eq!((stage.api.calls.load(Ordering::Relaxed), stage.reserved()), (0, 0));
    stage.seat.send_replace(Some(Duration::from_mins(1)));
    assert_eq!(stage.bind("p", "a").await, "");
}

/// The seat ends while the API server is asked for the pod.
#[derive(Debug)]
struct LosesTheSeat {
    api: Arc<Fake>,
    seat: watch::Sender<Option<Duration>>,
}

impl Binder for LosesTheSeat {
    fn look<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<Looked>, String>> {
        self.seat.send_replace(None);
        self.api.look(namespace, name)
    }

    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>> {
        self.api.bind(args)
    }
}

#[tokio::test]
async fn a_seat_that_is_lost_in_between_is_noticed() {
    let stage = Stage::new();
    let app = Arc::new(App::new(
        State::default(),
        Settings::default(),
        Arc::new(Metrics::default()),
    ));
    app.replace((*stage.app.state()).clone());
    let (seat, until) = watch::channel(Some(Duration::from_mins(1)));
    let wanted = Arc::new(AtomicBool::new(false));
    let binder = LosesTheSeat {
        api: Arc::clone(&stage.api),
        seat,
    };
    app.bind_through(Binding {
        binder: Arc::new(binder),
        seat: BindLeadership { until, wanted },
    });
    stage.unseen("p");
    let args = json!({"PodName": "p", "PodNamespace": "ns", "PodUID": "uid-p", "Node": "a"});
    let answer = Arc::clone(&app).bind(Bytes::from(args.to_string())).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(
        answer["Error"].as_str().unwrap().contains("another replica"),
        "{answer}"
    );
    assert_eq!((stage.node_of("p"), app.reservations().len()), (Value::Null, 0));
}

#[tokio::test]
async fn what_can_not_be_judged_is_not_bound() {
    let app = Arc::new(App::new(
        State::default(),
        Settings::default(),
        Arc::new(Metrics::default()),
    ));
    let ask = async |app: &Arc<App>, body: &str| {
        let answer = Arc::clone(app).bind(Bytes::from(body.to_owned())).await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["Error"].as_str().unwrap().to_owned()
    };
    assert!(ask(&app, "{}").await.contains("only if started with --bind"));
    let stage = Stage::new();
    assert!(
        ask(&stage.app, "{}")
            .await
            .contains("the body is not ExtenderBindingArgs")
    );
    stage.pod("p");
    assert_eq!(
        stage.bind("p", "nowhere").await,
        "apportion: not known to apportion yet"
    );
    stage.app.replace(State::default());
    assert_eq!(
        stage.bind("p", "a").await,
        "apportion: the cluster has not been read yet"
    );
    assert_eq!((stage.node_of("p"), stage.reserved()), (Value::Null, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_at_one_time_as_many_are_bound_as_there_is_room_for() {
    for round in 0..8 {
        let stage = Arc::new(Stage::new());
        stage.api.slow.store(true, Ordering::Relaxed);
        let limits = Limits::for_role(Role::Extender);
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(Role::Extender, address, Transport::Plain, limits).unwrap();
        let url = format!("http://{}", listener.local_addr());
        let (stop, stopped) = oneshot::channel();
        let times = DrainTimes {
            delay: Duration::ZERO,
            deadline: Duration::from_secs(1),
        };
        let server = tokio::spawn(run(
            vec![listener],
            Arc::clone(&stage.app) as Arc<dyn Endpoints>,
            Arc::clone(stage.app.metrics_registry()) as _,
            times,
            async move { drop(stopped.await) },
        ));
        // Two schedulers, each with connections of its own.
        let clients = [plain_client(), plain_client()];
        let names: Vec<String> = (0..32).map(|at| format!("p{round}-{at}")).collect();
        for (at, name) in names.iter().enumerate() {
            // Of some the watch has not told yet.
            if at.is_multiple_of(5) {
                stage.unseen(name);
            } else {
                stage.pod(name);
            }
        }
        let one = async |at: usize, name: &String| {
            let client = &clients[at % 2];
            let post = async |path: &str, body: Value| -> Value {
                let request = client.post(format!("{url}/{path}")).body(body.to_string());
                let text = request.send().await.unwrap().text().await.unwrap();
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
            };
            let pod = stage.api.get(&format!("ns/{name}")).unwrap();
            let fit = post("filter", json!({"Pod": pod, "NodeNames": ["a"], "Nodes": null})).await;
            if fit["NodeNames"] != json!(["a"]) {
                return false;
            }
            let args = json!({"PodName": name, "PodNamespace": "ns", "PodUID": format!("uid-{name}"), "Node": "a"});
            let bound = post("bind", args).await["Error"] == "";
            if bound && at.is_multiple_of(3) {
                stage.see(name);
            }
            bound
        };
        let said = join_all(names.iter().enumerate().map(|(at, name)| one(at, name))).await;
        let bound = names.iter().filter(|name| stage.node_of(name) == "a").count();
        assert_eq!(
            (bound, said.iter().filter(|said| **said).count()),
            (8, 8),
            "round {round}"
        );
        assert!(stage.api.calls.load(Ordering::Relaxed) <= 2 * 32);
        for name in &names {
            stage.see(name);
        }
        assert_eq!(stage.reserved(), 0, "round {round}");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
