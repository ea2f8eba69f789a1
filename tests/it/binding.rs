//! Binding pods through a fake API server whose replies a test chooses.

mod concurrency;
mod leadership;
mod outcomes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apportion::server::endpoints::Endpoints as _;
use apportion::service::bind::{BindError, BindLeadership, Binder, Binding, CallError, LivePod};
use apportion::service::{App, Handlers, Metrics, Settings, State};
use apportion_core::extender::bind::BindingArgs;
use apportion_core::inventory::Ledger;
use apportion_core::policy::PolicySet;
use apportion_testing::{Naming, Node, set};
use axum::body::Bytes;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fixtures::{node_entry, on, pod, pod_record, policies};

/// How the API server replies to a call to bind.
#[derive(Clone, Copy, Debug)]
enum Reply {
    /// Binds the pod.
    Binds,
    /// Refuses, for a reason that has nothing to do with the pod.
    Refuses,
    /// Binds the pod, but the reply is lost.
    LostAfterBinding,
    /// Does not bind the pod, and the reply is lost.
    LostWithoutBinding,
    /// Another binder binds the pod to this node just before.
    Conflict(&'static str),
}

/// A fake API server: pods by `namespace/name`.
#[derive(Debug, Default)]
struct FakeApi {
    pods: Mutex<BTreeMap<String, Value>>,
    replies: Mutex<VecDeque<Reply>>,
    calls: AtomicUsize,
    slow: AtomicBool,
}

impl FakeApi {
    fn put(&self, key: &str, pod: Value) {
        self.pods.lock().unwrap().insert(key.to_owned(), pod);
    }

    fn get(&self, key: &str) -> Option<Value> {
        self.pods.lock().unwrap().get(key).cloned()
    }

    /// Binds as the API server does: the UID must match, and a pod is bound once.
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

impl Binder for FakeApi {
    fn get_pod<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<LivePod>, CallError>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let pod = self.get(&format!("{namespace}/{name}"));
            Ok(pod.map(|pod| LivePod {
                uid: pod["metadata"]["uid"].as_str().unwrap().to_owned(),
                record: pod_record(&pod).map(Box::new),
            }))
        })
    }

    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let key = format!("{}/{}", &*args.pod_namespace, &*args.pod_name);
            self.pause(&key).await;
            let reply = self.replies.lock().unwrap().pop_front().unwrap_or(Reply::Binds);
            let lost = || BindError::Unknown("the API server does not answer".to_owned());
            match reply {
                Reply::Binds => self.assign(&key, &args.pod_uid, &args.node),
                Reply::Refuses => Err(BindError::Refused("too many requests".to_owned())),
                Reply::LostAfterBinding => {
                    self.assign(&key, &args.pod_uid, &args.node)?;
                    Err(lost())
                }
                Reply::LostWithoutBinding => Err(lost()),
                Reply::Conflict(node) => {
                    self.assign(&key, &args.pod_uid, node)?;
                    self.assign(&key, &args.pod_uid, &args.node)
                }
            }
        })
    }
}

/// A replica of Apportion. Each of two nodes has four GPUs with four time slices, and the policy
/// allows two shares per GPU, so 8 pods fit on a node.
struct Replica {
    app: Arc<App>,
    handlers: Arc<Handlers>,
    api: Arc<FakeApi>,
    ledger: Mutex<Ledger>,
    policies: Arc<PolicySet>,
    seat: watch::Sender<Option<Duration>>,
    wanted: Arc<AtomicBool>,
}

impl Replica {
    fn new() -> Self {
        let policies = Arc::new(policies([(
            "two",
            "{limits: {sharesPerGPU: 2}, strategies: [{strategy: time-slicing}]}",
        )]));
        let mut ledger = Ledger::default();
        ledger.set_policies(Arc::clone(&policies));
        for name in ["a", "b"] {
            let node = Node::shared("Tesla-T4", (4, 4), 15360, "time-slicing", Naming::Renamed).named(name);
            ledger.put_node(node_entry(&node));
        }
        ledger.put_namespace("ns", [("apportion.dev/policy", "two")].into_iter().collect());
        let app = Arc::new(App::new(
            State::default(),
            Settings::default(),
            Arc::new(Metrics::default()),
        ));
        let (seat, until) = watch::channel(Some(Duration::from_mins(10)));
        let (api, wanted) = (Arc::new(FakeApi::default()), Arc::new(AtomicBool::new(false)));
        let handlers = Arc::new(Handlers {
            binding: Some(Binding {
                binder: Arc::clone(&api) as Arc<dyn Binder>,
                leadership: BindLeadership {
                    until,
                    wanted: Arc::clone(&wanted),
                },
            }),
            ..Handlers::new(Arc::clone(&app))
        });
        let replica = Replica {
            app,
            handlers,
            api,
            ledger: Mutex::new(ledger),
            policies,
            seat,
            wanted,
        };
        replica.publish(&[]);
        replica
    }

    /// Publishes the state, then settles reservations, as the writer does.
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

    /// Creates a pod that the watch has not delivered yet.
    fn create_undelivered(&self, name: &str) {
        let metadata = json!({"namespace": "ns", "name": name, "uid": format!("uid-{name}")});
        self.api.put(
            &format!("ns/{name}"),
            set(pod(&[("gpu.shared", "1")]), "/metadata", metadata),
        );
    }

    /// The watch delivers the pod as the API server has it, or its deletion.
    fn deliver(&self, name: &str) {
        let key = format!("ns/{name}");
        let pod = self.api.get(&key);
        let record = pod.as_ref().and_then(pod_record);
        let waits = record.as_ref().is_some_and(|record| !record.is_bound());
        self.ledger.lock().unwrap().put_pod(&key, record);
        let uid = format!("uid-{name}");
        let placed = [&*uid];
        self.publish(if waits { &[] } else { &placed });
    }

    /// Creates a waiting pod that the watch has delivered.
    fn create(&self, name: &str) {
        self.create_undelivered(name);
        self.deliver(name);
    }

    /// Fills a node with pods that another binder has bound.
    fn fill(&self, node: &str, count: usize) {
        for at in 0..count {
            let name = format!("other-{node}-{at}");
            self.create_undelivered(&name);
            let key = format!("ns/{name}");
            self.api.put(&key, on(self.api.get(&key).unwrap(), node));
            self.deliver(&name);
        }
    }

    async fn bind(&self, name: &str, node: &str) -> String {
        self.bind_uid(name, &format!("uid-{name}"), node).await
    }

    async fn bind_uid(&self, name: &str, uid: &str, node: &str) -> String {
        let args = json!({"PodName": name, "PodNamespace": "ns", "PodUID": uid, "Node": node});
        let before = self.api.calls.load(Ordering::Relaxed);
        let answer = Arc::clone(&self.handlers).bind(Bytes::from(args.to_string())).await;
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

    fn replies(&self, replies: &[Reply]) {
        self.api.replies.lock().unwrap().extend(replies);
    }

    /// The number of pods that can still be bound to a node. Binds probe pods and deletes them.
    async fn free(&self, node: &str) -> usize {
        let mut free = 0;
        loop {
            let name = format!("probe-{free}");
            self.create(&name);
            if !self.bind(&name, node).await.is_empty() {
                break;
            }
            free += 1;
        }
        for at in 0..=free {
            let name = format!("probe-{at}");
            self.api.pods.lock().unwrap().remove(&format!("ns/{name}"));
            self.deliver(&name);
        }
        free
    }
}
