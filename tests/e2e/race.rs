//! Guarantees that Kubernetes does not check, under maximum load and while the binding replica is
//! killed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::WatchEvent;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::checker::{Checker, Seen};
use crate::cluster::until;
use crate::replica::{Replica, SCHEDULER};
use crate::world::World;

const PODS: usize = 2000;
/// The number of clients that create pods.
const CLIENTS: usize = 32;
const TEAMS: [&str; 3] = ["red", "green", "blue"];
const POLICIES: [&str; 4] = ["training", "multi-tenant", "development", "inference"];
/// Nodes of each kind, and the number of pods that they hold within all guarantees.
const SORTS: [(&str, usize); 4] = [("whole", 40), ("mig", 8), ("slices", 10), ("mps", 6)];

/// Installs the chart's role for binding, four policies with limits and separate nodes, and stops
/// the other scheduler.
pub(crate) async fn prepare(world: &World) {
    world.plane.stop_scheduler();
    world.kubelet.fall_silent();
    let values = json!({"namespace": {"create": true}, "scheduler": {"extender": {"bind": true}}});
    let rendered = Command::new(".venv/bin/python")
        .args(["deploy/render.py", "--values", &values.to_string()])
        .output()
        .expect(".venv/bin/python: run `make .venv/ready`");
    assert!(
        rendered.status.success(),
        "{}",
        String::from_utf8_lossy(&rendered.stderr)
    );
    let rendered = String::from_utf8(rendered.stdout).unwrap();
    let is_right = |one: &&str| {
        ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
            .iter()
            .any(|kind| one.contains(&format!("kind: {kind}\n")))
    };
    let roles = rendered
        .split("---\n")
        .filter(is_right)
        .collect::<Vec<_>>()
        .join("---\n");
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    world.kubectl.feed(&apply, &roles).await.fine();

    let tenants = json!({"tenants": "Apart", "tenantLabel": "example.com/team"});
    let limits = |more: Value| {
        let mut limits = tenants.clone();
        limits
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        limits
    };
    let mig = json!({"strategy": "mig", "profiles": ["1g.10gb"]});
    for (policy, strategies, limits) in [
        ("training", json!([{"strategy": "exclusive"}]), Value::Null),
        ("multi-tenant", json!([mig]), Value::Null),
        (
            "development",
            json!([{"strategy": "time-slicing"}]),
            limits(json!({"sharesPerGPU": 6, "memory": "Total", "undeclaredMemory": "2Gi"})),
        ),
        (
            "inference",
            json!([mig, {"strategy": "mps", "products": ["T4", "V100"]}]),
            limits(json!({"sharesPerGPU": 6})),
        ),
    ] {
        let mut spec = json!({"strategies": strategies});
        if !limits.is_null() {
            spec["limits"] = limits;
        }
        let object = json!({
            "apiVersion": "apportion.dev/v1alpha1",
            "kind": "GpuSharingPolicy",
            "metadata": {"name": format!("race-{policy}")},
            "spec": spec,
        });
        world.kubectl.feed(&apply, &object.to_string()).await.fine();
    }
    for (sort, count) in SORTS {
        for number in 0..count {
            node(world, sort, &format!("race-{sort}-{number:02}"), "all").await;
        }
    }
    for team in TEAMS {
        for policy in POLICIES {
            let labels = json!({"apportion.dev/policy": format!("race-{policy}"), "example.com/team": team});
            world.cluster.namespace(&space(team, policy), labels).await;
        }
    }
    until("the webhook to know the last namespace", async || {
        let policy = world.cluster.policy_of(&space(TEAMS[2], POLICIES[3])).await?;
        (policy == "race-inference").then_some(())
    })
    .await;
}

fn space(team: &str, policy: &str) -> String {
    format!("race-{team}-{policy}")
}

/// A node with eight GPUs, for the pods of one race.
async fn node(world: &World, sort: &str, name: &str, race: &str) {
    let (like, labels, allocatable) = match sort {
        "whole" => ("h100-1", json!({}), json!({"nvidia.com/gpu": "8"})),
        "mig" => ("a100-mig", json!({}), json!({"nvidia.com/mig-1g.10gb": "56"})),
        "slices" => (
            "l4-slices",
            json!({"nvidia.com/gpu.count": "8", "nvidia.com/gpu.replicas": "10"}),
            json!({"nvidia.com/gpu.shared": "80"}),
        ),
        "mps" => (
            "t4-mps",
            json!({"nvidia.com/gpu.count": "8", "nvidia.com/gpu.replicas": "10"}),
            json!({"nvidia.com/gpu.shared": "80"}),
        ),
        other => panic!("{other}"),
    };
    world.cluster.node(like, name).await;
    let mut all = json!({"race": race});
    all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
    world.cluster.label_node(name, all).await;
    let mut allocatable = allocatable;
    // More than a kubelet's default of 110, so that this is not the limit.
    allocatable["pods"] = json!("250");
    let patch = Patch::Merge(json!({"status": {"allocatable": allocatable, "capacity": allocatable}}));
    let nodes: Api<Node> = Api::all(world.cluster.client.clone());
    nodes.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

fn pod(namespace: &str, name: &str, race: &str, scheduler: &str, memory: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "schedulerName": scheduler,
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {"race": race},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [{"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
        },
    });
    if let Some(memory) = memory {
        pod["metadata"]["annotations"] = json!({"apportion.dev/gpu-memory": memory});
    }
    pod
}

/// Creates pods with many clients at once. Returns them as the API server stored them.
async fn make(client: &Client, pods: Vec<Value>) -> Vec<Value> {
    futures::stream::iter(pods)
        .map(async |pod| {
            let namespace = pod["metadata"]["namespace"].as_str().unwrap();
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            loop {
                let request = http::Request::post(&path)
                    .header("content-type", "application/json")
                    .body(pod.to_string().into_bytes())
                    .unwrap();
                match client.request::<Value>(request).await {
                    Ok(made) => return made,
                    // Retry if the webhook timed out.
                    Err(kube::Error::Api(status)) if status.code >= 500 || status.code == 429 => {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .buffer_unordered(CLIENTS)
        .collect()
        .await
}

async fn list(client: &Client, path: &str) -> (Vec<Value>, String) {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let list: Value = client.request(request).await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    (list["items"].as_array().unwrap().clone(), version)
}

/// All events of a watch of pods, in order.
struct Recording {
    events: Rc<RefCell<Vec<(String, Value)>>>,
    bound: Rc<Cell<usize>>,
    task: JoinHandle<()>,
}

impl Recording {
    async fn start(client: &Client) -> Self {
        let (_, mut version) = list(client, "/api/v1/pods").await;
        let (events, bound) = (Rc::<RefCell<Vec<_>>>::default(), Rc::<Cell<usize>>::default());
        let (client, into, count) = (client.clone(), Rc::clone(&events), Rc::clone(&bound));
        let task = tokio::task::spawn_local(async move {
            let mut placed: BTreeMap<String, bool> = BTreeMap::new();
            loop {
                let path = format!("/api/v1/pods?watch=1&timeoutSeconds=600&resourceVersion={version}");
                let request = http::Request::get(path).body(Vec::new()).unwrap();
                let Ok(stream) = client.request_events::<Value>(request).await else {
                    continue;
                };
                let mut stream = std::pin::pin!(stream);
                while let Ok(Some(event)) = stream.try_next().await {
                    let (kind, pod) = match event {
                        WatchEvent::Added(pod) => ("ADDED", pod),
                        WatchEvent::Modified(pod) => ("MODIFIED", pod),
                        WatchEvent::Deleted(pod) => ("DELETED", pod),
                        WatchEvent::Bookmark(_) => continue,
                        WatchEvent::Error(status) => panic!("the recording has a hole: {status:?}"),
                    };
                    pod["metadata"]["resourceVersion"]
                        .as_str()
                        .unwrap()
                        .clone_into(&mut version);
                    let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
                    if pod["spec"]["nodeName"].is_string() && placed.insert(uid, true).is_none() {
                        count.set(count.get() + 1);
                    }
                    into.borrow_mut().push((kind.to_owned(), pod));
                }
            }
        });
        Recording { events, bound, task }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn checker(client: &Client, race: &str) -> Checker {
    let (nodes, _) = list(client, &format!("/api/v1/nodes?labelSelector=race%3D{race}")).await;
    let (namespaces, _) = list(client, "/api/v1/namespaces").await;
    let (policies, _) = list(client, "/apis/apportion.dev/v1alpha1/gpusharingpolicies").await;
    Checker::new(&nodes, &namespaces, &policies)
}

/// The guarantees that are broken in the current state.
async fn state(client: &Client, race: &str) -> Checker {
    let mut checker = checker(client, race).await;
    let (pods, _) = list(client, "/api/v1/pods").await;
    for pod in pods.iter().filter(|pod| pod["spec"]["nodeSelector"]["race"] == race) {
        checker.take("ADDED", pod);
    }
    checker
}

/// Thirty-two concurrent filters and bindings: exactly as many pods are bound as allowed.
pub(crate) async fn by_hand(world: &World) {
    let client = &world.cluster.client;
    let (namespace, node_name) = (space("red", "development"), "race-hand");
    // Six shares per GPU are allowed; by declared memory, eight fit on two GPUs: 8 x 5 Gi of 2 x
    // 23034 MiB.
    small(world, node_name, "hand").await;
    let replica = Replica::new(world, "hand", true).await;
    replica.extend().await;
    let pods: Vec<Value> = (0..32)
        .map(|number| {
            pod(
                &namespace,
                &format!("hand-{number}"),
                "hand",
                "no-scheduler",
                Some("5Gi"),
            )
        })
        .collect();
    let made = make(client, pods).await;
    let seat = Instant::now();
    let asks = made.iter().map(async |pod| {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let (mut tries, mut filtered) = (0, 0);
        loop {
            tries += 1;
            let answer = replica
                .post("filter", json!({"Pod": pod, "Nodes": null, "NodeNames": [node_name]}))
                .await;
            assert_eq!(answer["Error"], "", "{answer}");
            if answer["NodeNames"].as_array().unwrap().is_empty() {
                return (name, tries, filtered, "filter".to_owned());
            }
            filtered += 1;
            let binding = json!({
                "PodName": name,
                "PodNamespace": namespace,
                "PodUID": pod["metadata"]["uid"],
                "Node": node_name,
            });
            let answer = replica.post("bind", binding).await;
            let error = answer["Error"].as_str().unwrap().to_owned();
            if error.contains("hand over") && seat.elapsed() < Duration::from_secs(40) {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            return (name, tries, filtered, error);
        }
    });
    let ended = futures::future::join_all(asks).await;
    let bound = ended.iter().filter(|(.., error)| error.is_empty()).count();
    let refused: BTreeMap<&str, usize> = ended.iter().fold(BTreeMap::new(), |mut all, (.., error)| {
        *all.entry(error.as_str()).or_default() += 1;
        all
    });
    println!("      {bound} of 32 bound after {:.1?}; {refused:?}", seat.elapsed());
    let checker = state(client, "hand").await;
    assert_eq!((bound, checker.counts()), (8, (8, 24)));
    assert_eq!(checker.broken(), Vec::<String>::new());
    assert_eq!(checker.left_out(), Vec::new());
    world.cluster.clear(&namespace).await;
}

/// A node with two GPUs in time slices.
async fn small(world: &World, name: &str, race: &str) {
    node(world, "slices", name, race).await;
    let labels = json!({"nvidia.com/gpu.count": "2", "nvidia.com/gpu.replicas": "40"});
    world.cluster.label_node(name, labels).await;
}

/// Two independent schedulers bind pods to one node at once.
pub(crate) async fn two_schedulers(world: &World) {
    let client = &world.cluster.client;
    let namespace = space("red", "development");
    small(world, "race-two", "two").await;
    let replica = Replica::new(world, "two", true).await;
    replica.extend().await;
    for scheduler in ["first-scheduler", "second-scheduler"] {
        replica.schedule_for(world, scheduler);
    }
    let recording = Recording::start(client).await;
    let pods: Vec<Value> = (0..32)
        .map(|number| {
            let scheduler = ["first-scheduler", "second-scheduler"][number % 2];
            pod(&namespace, &format!("two-{number}"), "two", scheduler, Some("5Gi"))
        })
        .collect();
    make(client, pods).await;
    until("eight of 32 pods to be bound", async || {
        (recording.bound.get() >= 8).then_some(())
    })
    .await;
    // Long enough for the other pods to be retried.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let checker = state(client, "two").await;
    assert_eq!(checker.counts(), (8, 24));
    assert_eq!(checker.broken(), Vec::<String>::new());
    let refused = replica.metric("apportion_bindings_total{result=\"refused\"}").await;
    println!("      8 of 32 bound; bindings refused on the way: {refused:?}");
    world.cluster.clear(&namespace).await;
}

/// No guarantee is ever broken.
pub(crate) async fn bound_by_apportion(world: &World) {
    let broken = race(world, true).await;
    assert_eq!(broken, 0, "broken promises");
}

/// The same, bound by the scheduler itself.
pub(crate) async fn bound_by_the_scheduler(world: &World) {
    race(world, false).await;
}

/// Returns the number of events after which a guarantee was broken.
async fn race(world: &World, binds: bool) -> usize {
    let client = &world.cluster.client;
    let recording = Recording::start(client).await;
    let mut history = checker(client, "all").await;
    let names = if binds {
        ["bind-a", "bind-b"]
    } else {
        ["plain-a", "plain-b"]
    };
    let (a, b) = (
        Replica::new(world, names[0], binds).await,
        Replica::new(world, names[1], binds).await,
    );
    for replica in [&a, &b] {
        replica.extend().await;
        replica.schedule(world);
        // The first leads.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let start = Instant::now();
    let memories = [None, Some("3Gi"), Some("5Gi")];
    let pods: Vec<Value> = (0..PODS)
        .map(|number| {
            let (team, policy) = (TEAMS[number % 3], POLICIES[number / 3 % 4]);
            let memory = (policy == "development").then(|| memories[number / 12 % 3]).flatten();
            pod(&space(team, policy), &format!("p-{number}"), "all", SCHEDULER, memory)
        })
        .collect();
    let making = async {
        let made = make(client, pods).await;
        println!("      {} pods made after {:.1?}", made.len(), start.elapsed());
    };
    let killing = async {
        reached(&recording, 250).await;
        let leads = if leader(client).await.ends_with(&b.name) {
            &b
        } else {
            &a
        };
        leads.kill_extender();
        println!(
            "      {:.1?}: {} bound; the extender is killed",
            start.elapsed(),
            recording.bound.get()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        leads.extend().await;
        reached(&recording, 700).await;
        let leads = if leader(client).await.ends_with(&b.name) {
            &b
        } else {
            &a
        };
        leads.kill();
        let (bound, killed) = (recording.bound.get(), Instant::now());
        println!(
            "      {:.1?}: {bound} bound; replica {} is killed",
            start.elapsed(),
            leads.name
        );
        reached(&recording, bound + 20).await;
        println!(
            "      {:.1?} later another 20 are bound by the other replica",
            killed.elapsed()
        );
        leads.extend().await;
        leads.schedule(world);
    };
    tokio::join!(making, killing);
    let (present, last) = settled(client, &recording, start).await;
    for replica in [&a, &b] {
        let refused = replica.metric("apportion_bindings_total{result=\"refused\"}").await;
        println!(
            "      bindings that {} refused since its start: {}",
            replica.name,
            refused.unwrap_or(0.0)
        );
    }
    drop((a, b));

    let events = recording.events.take();
    let (mut bound, mut broken, mut examples) = (0, 0, Vec::new());
    for (kind, pod) in events
        .iter()
        .filter(|(_, pod)| pod["spec"]["nodeSelector"]["race"] == "all")
    {
        let (seen, found) = history.take(kind, pod);
        bound += usize::from(matches!(seen, Seen::Bound));
        if !found.is_empty() {
            broken += 1;
            examples.extend(found);
        }
    }
    let at_the_end = present.broken();
    println!(
        "      {bound} of {PODS} pods bound in {:.1} s ({:.0} a second), {:?}; {} events: {broken} bindings broke a promise, {} are broken \
         at the end",
        last.as_secs_f64(),
        f64::from(u32::try_from(bound).unwrap()) / last.as_secs_f64(),
        present.bound_by_policy(),
        events.len(),
        at_the_end.len(),
    );
    examples.dedup();
    for example in examples.iter().chain(&at_the_end).take(5) {
        println!("      {example}");
    }
    assert_eq!(
        history.counts(),
        present.counts(),
        "the watch and the list say different things"
    );
    for team in TEAMS {
        for policy in POLICIES {
            world.cluster.clear(&space(team, policy)).await;
        }
    }
    broken + at_the_end.len()
}

/// The replica that binds, by its Lease.
async fn leader(client: &Client) -> String {
    let path = "/apis/coordination.k8s.io/v1/namespaces/apportion-system/leases/apportion-scheduler-bind";
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let lease: Value = client.request(request).await.unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

async fn reached(recording: &Recording, count: usize) {
    while recording.bound.get() < count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until no waiting pod fits a node. Returns the state, and when the last pod was bound.
async fn settled(client: &Client, recording: &Recording, start: Instant) -> (Checker, Duration) {
    let (mut known, mut last) = (0, start.elapsed());
    loop {
        let bound = recording.bound.get();
        if bound > known {
            (known, last) = (bound, start.elapsed());
        } else if start.elapsed() > last + Duration::from_secs(3) {
            let present = state(client, "all").await;
            let left_out = present.left_out();
            if left_out.is_empty() {
                return (present, last);
            }
            let stalled = start.elapsed().saturating_sub(last);
            if stalled > Duration::from_mins(1) {
                let (bound, waiting) = present.counts();
                panic!(
                    "{bound} bound, {waiting} wait, nothing happens for {stalled:.0?}, and {} fit somewhere, such as {:?}",
                    left_out.len(),
                    left_out.first()
                );
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
