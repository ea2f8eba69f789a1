//! Preemption: the answers of the preempt verb, and the requests that filter calls lead to.

mod properties;

use std::time::Duration;

use apportion_core::extender;
use apportion_core::extender::AnswerSize;
use apportion_core::extender::evict;
use apportion_core::extender::evict::PreemptionRequest;
use apportion_core::inventory::{PodRequest, Purpose, Reservations};
use apportion_core::policy::OnUnknown;
use apportion_testing::{Node, set, t4_renamed};
use serde_json::{Value, json};

use super::fixtures::{World, args, ledger, on, pod, policies};

const NAMESPACES: &[(&str, &[(&str, &str)])] = &[
    ("lab", &[("apportion.dev/policy", "lab")]),
    ("other-lab", &[("apportion.dev/policy", "lab")]),
    ("apart", &[("apportion.dev/policy", "apart")]),
    ("calm", &[("apportion.dev/policy", "calm")]),
    ("declared", &[("apportion.dev/policy", "declared")]),
    ("free", &[]),
];

/// A cluster with policies that limit time slices in different ways.
fn world(nodes: &[Node], pods: &[Value]) -> World {
    let policies = policies([
        ("lab", "{strategies: [{strategy: time-slicing}]}"),
        (
            "apart",
            "{strategies: [{strategy: time-slicing}], limits: {tenants: Apart}}",
        ),
        (
            "calm",
            "{strategies: [{strategy: time-slicing}], limits: {sharesPerGPU: 2}}",
        ),
        (
            "declared",
            "{strategies: [{strategy: time-slicing}], limits: {memory: Total}}",
        ),
    ]);
    World::new(policies, ledger(nodes, pods, NAMESPACES))
}

/// A pod that requests time slices.
fn shares(namespace: &str, uid: &str, priority: i32, count: u64) -> Value {
    let pod = pod(&[("gpu.shared", &count.to_string())]);
    let pod = set(pod, "/metadata/namespace", json!(namespace));
    let pod = set(pod, "/metadata/uid", json!(uid));
    let pod = set(pod, "/metadata/name", json!(uid));
    set(pod, "/spec/priority", json!(priority))
}

fn terminating(pod: Value) -> Value {
    set(pod, "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))
}

/// Four T4, each cut into four: 16 time slices.
fn slices(name: &str) -> Node {
    t4_renamed("time-slicing").named(name)
}

/// The preempt verb's answer: `node: uid uid; node: uid`.
fn preempted(world: &World, question: &Value) -> String {
    let text = question.to_string();
    let args = serde_json::from_str(&text).unwrap();
    let answer = json!(extender::preempt(&args, &world.extender()));
    let nodes = answer["NodeNameToMetaVictims"].as_object().unwrap();
    let shown = nodes.iter().map(|(node, victims)| {
        let pods = victims["Pods"].as_array().unwrap();
        assert!(!pods.is_empty(), "the scheduler rejects an empty list");
        assert_eq!(victims["NumPDBViolations"], 1, "passed on unchanged");
        let uids: Vec<&str> = pods.iter().map(|pod| pod["UID"].as_str().unwrap()).collect();
        format!("{node}: {}", uids.join(" "))
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// `ExtenderPreemptionArgs` with these victims on each node.
fn preemption_args(pod: &Value, nodes: &[(&str, &[&str])]) -> Value {
    let victims = nodes.iter().map(|(node, uids)| {
        let pods: Vec<Value> = uids.iter().map(|uid| json!({"UID": uid})).collect();
        ((*node).to_owned(), json!({"Pods": pods, "NumPDBViolations": 1}))
    });
    let victims: serde_json::Map<String, Value> = victims.collect();
    json!({"Pod": pod, "NodeNameToVictims": null, "NodeNameToMetaVictims": victims})
}

/// A pod, pods on node `a`, the victims that the scheduler proposes there, and those that the
/// answer names.
struct VictimsRow {
    name: &'static str,
    pod: Value,
    running: Vec<Value>,
    victims: Vec<&'static str>,
    /// See [`preempted`].
    expected: &'static str,
}

#[test]
fn victims_of_the_scheduler_are_kept_and_those_that_limits_need_are_added() {
    let full = |others: &[(&str, &str, i32)]| -> Vec<Value> {
        let all = others.iter();
        all.map(|(namespace, uid, priority)| on(shares(namespace, uid, *priority, 1), "a"))
            .collect()
    };
    for row in [
        VictimsRow {
            name: "the victims stay if limits do not need more",
            pod: shares("lab", "p", 9, 1),
            running: full(&[("lab", "x", 0), ("free", "y", 0)]),
            victims: vec!["x"],
            expected: "a: x",
        },
        VictimsRow {
            name: "shares of another tenant are added, highest priority first",
            pod: shares("apart", "p", 9, 1),
            running: full(&[("lab", "x", 0), ("lab", "y", 5), ("apart", "z", 0)]),
            victims: vec!["x"],
            expected: "a: y x",
        },
        VictimsRow {
            name: "the node is left out if another tenant's share has the same priority",
            pod: shares("apart", "p", 9, 1),
            running: full(&[("lab", "x", 0), ("lab", "y", 9)]),
            victims: vec!["x"],
            expected: "",
        },
        VictimsRow {
            name: "only as many of the lowest priority are added as limits need",
            pod: shares("calm", "p", 9, 3),
            running: full(&[
                ("lab", "a1", 3),
                ("lab", "b1", 1),
                ("lab", "c1", 2),
                ("lab", "d1", 1),
                ("lab", "e1", 5),
                ("lab", "f1", 5),
                ("lab", "g1", 5),
            ]),
            victims: vec!["c1"],
            expected: "a: c1 d1",
        },
        VictimsRow {
            name: "a terminating pod is added first",
            pod: shares("calm", "p", 9, 8),
            running: vec![
                on(shares("lab", "x", 0, 1), "a"),
                terminating(on(shares("lab", "y", 5, 1), "a")),
            ],
            victims: vec!["x"],
            expected: "a: y x",
        },
        VictimsRow {
            name: "victims that are not in the inventory stay",
            pod: shares("lab", "p", 9, 1),
            running: vec![],
            victims: vec!["unseen"],
            expected: "a: unseen",
        },
        VictimsRow {
            name: "the node is left out if it does not have the strategy",
            pod: set(
                shares("lab", "p", 9, 1),
                "/spec/containers/0/resources/limits",
                json!({"nvidia.com/mig-1g.10gb": "1"}),
            ),
            running: full(&[("lab", "x", 0)]),
            victims: vec!["x"],
            expected: "",
        },
        VictimsRow {
            name: "the victims stay for a pod without GPUs",
            pod: pod(&[]),
            running: full(&[("lab", "x", 0)]),
            victims: vec!["x"],
            expected: "a: x",
        },
    ] {
        let world = world(&[slices("a")], &row.running);
        let args = preemption_args(&row.pod, &[("a", &row.victims)]);
        assert_eq!(preempted(&world, &args), row.expected, "{}", row.name);
    }
}

#[test]
fn preemption_arguments_are_read_in_every_form() {
    let apart = shares("apart", "p", 9, 1);
    let there = on(shares("lab", "y", 5, 1), "a");
    let mut world = world(&[slices("a")], &[there]);
    let whole = json!({"Pods": [{"metadata": {"uid": "x", "name": "x"}, "spec": {}}], "NumPDBViolations": 1});
    for (victims, meta, expected) in [
        (json!({"a": whole}), json!(null), "a: x y"),
        (json!({"new": whole}), json!(null), ""),
        (json!({"a": null}), json!(null), ""),
        (json!(null), json!(null), ""),
    ] {
        let question = json!({"Pod": apart, "NodeNameToVictims": victims, "NodeNameToMetaVictims": meta});
        if victims == json!({"a": null}) {
            // Without victims of the scheduler, the answer has only ours and counts no disruption
            // budgets.
            let text = question.to_string();
            let answer = json!(extender::preempt(
                &serde_json::from_str(&text).unwrap(),
                &world.extender()
            ));
            let expected = json!({"a": {"Pods": [{"UID": "y"}], "NumPDBViolations": 0}});
            assert_eq!(answer["NodeNameToMetaVictims"], expected);
        } else {
            assert_eq!(preempted(&world, &question), expected);
        }
    }
    // A pod in an unknown namespace is refused, so preemption does not help.
    world.on_unknown = OnUnknown::Refuse;
    let unknown = set(apart, "/metadata/namespace", json!("new"));
    assert_eq!(preempted(&world, &preemption_args(&unknown, &[("a", &["x"])])), "");
}

/// A pod, pods on node `a`, and whether the filter calls the node resolvable.
struct NominationRow {
    name: &'static str,
    pod: Value,
    running: Vec<Value>,
    is_resolvable: bool,
}

/// If a nominated node is unresolvable, the scheduler preempts pods on another node as well.
#[test]
fn a_nominated_node_stays_resolvable_while_its_victims_terminate() {
    let nominated = |pod: Value| set(pod, "/status/nominatedNodeName", json!("a"));
    let pod = || shares("apart", "p", 9, 1);
    let other_tenant = |uid: &str, priority| on(shares("lab", uid, priority, 1), "a");
    for row in [
        NominationRow {
            name: "all victims terminate",
            pod: nominated(pod()),
            running: vec![terminating(other_tenant("x", 0))],
            is_resolvable: true,
        },
        NominationRow {
            name: "the pod is not nominated",
            pod: pod(),
            running: vec![terminating(other_tenant("x", 0))],
            is_resolvable: false,
        },
        NominationRow {
            name: "no pod terminates",
            pod: nominated(pod()),
            running: vec![other_tenant("x", 0)],
            is_resolvable: false,
        },
        NominationRow {
            name: "only some of the required victims terminate",
            pod: nominated(pod()),
            running: vec![terminating(other_tenant("x", 0)), other_tenant("y", 0)],
            is_resolvable: false,
        },
        NominationRow {
            name: "a pod of higher priority terminates",
            pod: nominated(pod()),
            running: vec![terminating(other_tenant("x", 99))],
            is_resolvable: false,
        },
    ] {
        let world = world(&[slices("a")], &row.running);
        let answer = world.filter(&args("apart", &row.pod, &["a"]), AnswerSize::default());
        let list = if row.is_resolvable {
            "FailedNodes"
        } else {
            "FailedAndUnresolvableNodes"
        };
        assert_eq!(
            answer[list],
            json!({"a": "GPUs shared with another tenant"}),
            "{}",
            row.name
        );
        assert_eq!(answer["NodeNames"], json!([]), "{}", row.name);
    }
}

fn preemption_request(world: &World, pod: &Value, nodes: &[&str]) -> Option<PreemptionRequest> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    let text = args(namespace, pod, nodes).to_string();
    evict::request_preemption(&serde_json::from_str(&text).unwrap(), &world.extender(), |node| {
        node == "avoided"
    })
}

/// A pod, pods on the nodes, and the node where pods are preempted.
struct RequestRow {
    name: &'static str,
    pod: Value,
    running: Vec<Value>,
    node: Option<&'static str>,
}

#[test]
fn a_filter_call_requests_preemption_of_the_least_important_pods() {
    let pod = || shares("apart", "p", 9, 1);
    let there = |namespace: &str, uid: &str, priority, node: &str| on(shares(namespace, uid, priority, 1), node);
    let nodes = ["a", "b", "avoided"];
    for row in [
        RequestRow {
            name: "the node whose highest victim has the lowest priority",
            pod: pod(),
            running: vec![
                there("lab", "x", 5, "a"),
                there("lab", "y", 3, "b"),
                there("lab", "z", 3, "b"),
            ],
            node: Some("b"),
        },
        RequestRow {
            name: "then the node with the fewest victims",
            pod: pod(),
            running: vec![
                there("lab", "x", 3, "a"),
                there("lab", "y", 3, "b"),
                there("lab", "z", -7, "b"),
            ],
            node: Some("a"),
        },
        RequestRow {
            name: "then the first node, except nodes to avoid",
            pod: pod(),
            running: vec![
                there("lab", "v", 0, "avoided"),
                there("lab", "x", 3, "a"),
                there("lab", "y", 3, "b"),
            ],
            node: Some("a"),
        },
        RequestRow {
            name: "no victim of the same or higher priority",
            pod: pod(),
            running: vec![there("lab", "x", 9, "a"), there("lab", "y", 10, "b")],
            node: None,
        },
        RequestRow {
            name: "no victim if a terminating pod frees enough",
            pod: pod(),
            running: vec![terminating(there("lab", "x", 3, "a")), there("lab", "y", 3, "b")],
            node: None,
        },
        RequestRow {
            name: "none with preemptionPolicy Never",
            pod: set(pod(), "/spec/preemptionPolicy", json!("Never")),
            running: vec![there("lab", "x", 3, "a")],
            node: None,
        },
        RequestRow {
            name: "none while the pod is nominated",
            pod: set(pod(), "/status/nominatedNodeName", json!("b")),
            running: vec![there("lab", "x", 3, "a")],
            node: None,
        },
        RequestRow {
            name: "none for an ungoverned pod",
            pod: shares("free", "p", 9, 1),
            running: vec![there("apart", "x", 3, "a")],
            node: None,
        },
        RequestRow {
            name: "none on nodes without the strategy",
            pod: set(
                pod(),
                "/spec/containers/0/resources/limits",
                json!({"nvidia.com/gpu": "1"}),
            ),
            running: vec![there("lab", "x", 3, "a")],
            node: None,
        },
    ] {
        let world = world(&nodes.map(slices), &row.running);
        let is_used = |node: &&str| row.running.iter().any(|pod| pod["spec"]["nodeName"] == **node);
        let candidates: Vec<&str> = ["avoided", "a", "b"].into_iter().filter(is_used).collect();
        let request = preemption_request(&world, &row.pod, &candidates).map(|request| request.node);
        assert_eq!(request.as_deref(), row.node, "{}", row.name);
    }
}

/// The scheduler can see that the last victim is gone before our watch does. It then gets a
/// rejection, and preempts elsewhere unless the preempt call sees the room.
#[test]
fn no_pod_is_preempted_elsewhere_when_the_room_of_a_nominated_pod_is_free() {
    let pod = shares("apart", "p", 9, 1);
    let mut world = world(&[slices("a"), slices("b")], &[on(shares("lab", "y", 0, 1), "b")]);
    let on_b = preemption_args(&pod, &[("b", &["y"])]);
    assert_eq!(preempted(&world, &on_b), "b: y", "no room is kept");
    let text = args("apart", &pod, &[]).to_string();
    let pod_request = {
        let args: extender::wire::Args<'_> = serde_json::from_str(&text).unwrap();
        let query = extender::PodQuery::of(&args.pod, &world.extender());
        query.pod_request().cloned().unwrap()
    };
    let mut reservations = Reservations::default();
    reservations.nominate("p", "a", pod_request, 9, Duration::ZERO);
    world.reserved = reservations.reserved().clone();
    assert_eq!(preempted(&world, &on_b), "", "node a has room");
    // In-tree filters need evictions on node a, so the room there is of no use yet.
    let on_both = preemption_args(&pod, &[("a", &["x"]), ("b", &["y"])]);
    assert_eq!(preempted(&world, &on_both), "a: x; b: y");
}

#[test]
fn a_kept_reservation_blocks_only_pods_of_the_same_or_lower_priority() {
    let others = [
        terminating(on(shares("lab", "x", 0, 1), "a")),
        on(shares("lab", "y", 0, 1), "b"),
    ];
    let mut world = world(&[slices("a"), slices("b")], &others);
    let pod = shares("apart", "p", 9, 1);
    let mut reservations = Reservations::default();
    let pod_request = || {
        let text = args("apart", &pod, &[]).to_string();
        let args: extender::wire::Args<'_> = serde_json::from_str(&text).unwrap();
        let ask = extender::PodQuery::of(&args.pod, &world.extender());
        ask.pod_request().cloned().unwrap()
    };
    let pod_request: PodRequest = pod_request();
    let kept = Purpose::Nominated { priority: 9 };
    reservations.reserve("p", "a", pod_request, kept, Duration::ZERO);
    let args_on_b = preemption_args(&pod, &[("b", &["y"])]);
    assert_eq!(preempted(&world, &args_on_b), "b: y");
    world.reserved = reservations.reserved().clone();
    assert_eq!(
        preempted(&world, &args_on_b),
        "",
        "its victims terminate on another node"
    );
    assert_eq!(preemption_request(&world, &pod, &["b"]), None);
    // A pod of the same priority cannot use the node, because the reservation belongs to another
    // tenant.
    let other = shares("lab", "q", 9, 1);
    let answer = world.filter(&args("lab", &other, &["a", "b"]), AnswerSize::All);
    assert_eq!(answer["NodeNames"], json!(["b"]));
    // A pod of a higher priority can.
    let higher = shares("lab", "r", 10, 1);
    let answer = world.filter(&args("lab", &higher, &["a", "b"]), AnswerSize::All);
    assert_eq!(answer["NodeNames"], json!(["a", "b"]));
}
