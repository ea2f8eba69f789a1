//! Who is evicted for whom: the preempt verb's answers, and what a filter call wishes for.

use apportion_core::extender;
use apportion_core::extender::AnswerSize;
use apportion_core::extender::evict;
use apportion_core::extender::evict::PreemptionRequest;
use apportion_core::inventory::{PodRequest, Purpose, Reservations};
use apportion_core::policy::governance::OnUnknown;
use apportion_testing::{Node, set, t4_renamed};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

use super::fixtures::{World, args, ledger, on, pod, policies};

const NAMESPACES: &[(&str, &[(&str, &str)])] = &[
    ("lab", &[("apportion.dev/policy", "lab")]),
    ("other-lab", &[("apportion.dev/policy", "lab")]),
    ("apart", &[("apportion.dev/policy", "apart")]),
    ("calm", &[("apportion.dev/policy", "calm")]),
    ("declared", &[("apportion.dev/policy", "declared")]),
    ("free", &[]),
];

/// A cluster of these nodes and pods, with policies that promise different things of time slices.
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

/// A pod of a namespace and priority that asks for time slices.
fn shares(namespace: &str, uid: &str, priority: i32, count: u64) -> Value {
    let pod = pod(&[("gpu.shared", &count.to_string())]);
    let pod = set(pod, "/metadata/namespace", json!(namespace));
    let pod = set(pod, "/metadata/uid", json!(uid));
    let pod = set(pod, "/metadata/name", json!(uid));
    set(pod, "/spec/priority", json!(priority))
}

fn leaving(pod: Value) -> Value {
    set(pod, "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))
}

fn declaring_memory(pod: Value, memory: &str) -> Value {
    set(pod, "/metadata/annotations/apportion.dev~1gpu-memory", json!(memory))
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
        assert!(!pods.is_empty(), "A.5 an empty list is an error");
        assert_eq!(victims["NumPDBViolations"], 1, "passed on as it came");
        let uids: Vec<&str> = pods.iter().map(|pod| pod["UID"].as_str().unwrap()).collect();
        format!("{node}: {}", uids.join(" "))
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// The scheduler's question, with these victims on a node.
fn question(pod: &Value, nodes: &[(&str, &[&str])]) -> Value {
    let victims = nodes.iter().map(|(node, uids)| {
        let pods: Vec<Value> = uids.iter().map(|uid| json!({"UID": uid})).collect();
        ((*node).to_owned(), json!({"Pods": pods, "NumPDBViolations": 1}))
    });
    let victims: serde_json::Map<String, Value> = victims.collect();
    json!({"Pod": pod, "NodeNameToVictims": null, "NodeNameToMetaVictims": victims})
}

#[test]
fn in_tree_victims_and_those_that_our_limits_need_beside() {
    let full = |others: &[(&str, &str, i32)]| -> Vec<Value> {
        let all = others.iter();
        all.map(|(namespace, uid, priority)| on(shares(namespace, uid, *priority, 1), "a"))
            .collect()
    };
    for (what, pod, pods, given, expected) in [
        (
            "nothing of ours is short: as it came",
            shares("lab", "p", 9, 1),
            full(&[("lab", "x", 0), ("free", "y", 0)]),
            vec!["x"],
            "a: x",
        ),
        (
            "strangers go too, the most important first",
            shares("apart", "p", 9, 1),
            full(&[("lab", "x", 0), ("lab", "y", 5), ("apart", "z", 0)]),
            vec!["x"],
            "a: y x",
        ),
        (
            "a stranger that is as important stays, so nothing helps",
            shares("apart", "p", 9, 1),
            full(&[("lab", "x", 0), ("lab", "y", 9)]),
            vec!["x"],
            "",
        ),
        (
            "no more of them than it takes, of the least important",
            shares("calm", "p", 9, 3),
            full(&[
                ("lab", "a1", 3),
                ("lab", "b1", 1),
                ("lab", "c1", 2),
                ("lab", "d1", 1),
                ("lab", "e1", 5),
                ("lab", "f1", 5),
                ("lab", "g1", 5),
            ]),
            vec!["c1"],
            "a: c1 d1",
        ),
        (
            "who leaves anyway goes first",
            shares("calm", "p", 9, 8),
            vec![
                on(shares("lab", "x", 0, 1), "a"),
                leaving(on(shares("lab", "y", 5, 1), "a")),
            ],
            vec!["x"],
            "a: y x",
        ),
        (
            "victims without a GPU, or not seen yet, are the scheduler's business",
            shares("lab", "p", 9, 1),
            vec![],
            vec!["unseen"],
            "a: unseen",
        ),
        (
            "the wrong sharing: nothing helps",
            set(
                shares("lab", "p", 9, 1),
                "/spec/containers/0/resources/limits",
                json!({"nvidia.com/mig-1g.10gb": "1"}),
            ),
            full(&[("lab", "x", 0)]),
            vec!["x"],
            "",
        ),
        (
            "not ours: as it came",
            pod(&[]),
            full(&[("lab", "x", 0)]),
            vec!["x"],
            "a: x",
        ),
    ] {
        let world = world(&[slices("a")], &pods);
        assert_eq!(preempted(&world, &question(&pod, &[("a", &given)])), expected, "{what}");
    }
}

#[test]
fn whole_pods_nulls_and_unknown_nodes() {
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
            // Without in-tree victims ours alone are named, and no budgets were counted.
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
    // A pod that can not be judged is not let in by anybody's leaving.
    world.on_unknown = OnUnknown::Refuse;
    let stranger = set(apart, "/metadata/namespace", json!("new"));
    assert_eq!(preempted(&world, &question(&stranger, &[("a", &["x"])])), "");
}

/// The scheduler's verdict on a node where victims are leaving decides whether it evicts others elsewhere.
#[test]
fn a_nominated_node_is_waited_for() {
    let nominated = |pod: Value| set(pod, "/status/nominatedNodeName", json!("a"));
    let pod = || shares("apart", "p", 9, 1);
    let stranger = |uid: &str, priority| on(shares("lab", uid, priority, 1), "a");
    for (what, pod, there, waits) in [
        ("victims leave", nominated(pod()), vec![leaving(stranger("x", 0))], true),
        ("not its node", pod(), vec![leaving(stranger("x", 0))], false),
        ("nobody leaves", nominated(pod()), vec![stranger("x", 0)], false),
        (
            "not all leave that would have to",
            nominated(pod()),
            vec![leaving(stranger("x", 0)), stranger("y", 0)],
            false,
        ),
        (
            "somebody more important leaves of itself",
            nominated(pod()),
            vec![leaving(stranger("x", 99))],
            false,
        ),
    ] {
        let world = world(&[slices("a")], &there);
        let answer = world.filter(&args("apart", &pod, &["a"]), AnswerSize::default());
        let list = if waits {
            "FailedNodes"
        } else {
            "FailedAndUnresolvableNodes"
        };
        assert_eq!(answer[list], json!({"a": "GPUs shared with another tenant"}), "{what}");
        assert_eq!(answer["NodeNames"], json!([]), "{what}");
    }
}

fn wished(world: &World, pod: &Value, nodes: &[&str]) -> Option<PreemptionRequest> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    let text = args(namespace, pod, nodes).to_string();
    evict::wish(&serde_json::from_str(&text).unwrap(), &world.extender(), |node| {
        node == "avoided"
    })
}

#[test]
fn what_a_filter_call_wishes_for() {
    let pod = || shares("apart", "p", 9, 1);
    let there = |namespace: &str, uid: &str, priority, node: &str| on(shares(namespace, uid, priority, 1), node);
    let nodes = ["a", "b", "avoided"];
    for (what, pod, others, expected) in [
        (
            "the node whose most important victim is the least",
            pod(),
            vec![
                there("lab", "x", 5, "a"),
                there("lab", "y", 3, "b"),
                there("lab", "z", 3, "b"),
            ],
            Some("b"),
        ),
        (
            "then the fewest",
            pod(),
            vec![
                there("lab", "x", 3, "a"),
                there("lab", "y", 3, "b"),
                there("lab", "z", -7, "b"),
            ],
            Some("a"),
        ),
        (
            "the first of equals, and none that is to be avoided",
            pod(),
            vec![
                there("lab", "v", 0, "avoided"),
                there("lab", "x", 3, "a"),
                there("lab", "y", 3, "b"),
            ],
            Some("a"),
        ),
        (
            "nobody as important",
            pod(),
            vec![there("lab", "x", 9, "a"), there("lab", "y", 10, "b")],
            None,
        ),
        (
            "nobody where somebody's leaving will do",
            pod(),
            vec![leaving(there("lab", "x", 3, "a")), there("lab", "y", 3, "b")],
            None,
        ),
        (
            "Never",
            set(pod(), "/spec/preemptionPolicy", json!("Never")),
            vec![there("lab", "x", 3, "a")],
            None,
        ),
        (
            "not while the scheduler makes room",
            set(pod(), "/status/nominatedNodeName", json!("b")),
            vec![there("lab", "x", 3, "a")],
            None,
        ),
        (
            "not for a guest, whom nothing is promised",
            shares("free", "p", 9, 1),
            vec![there("apart", "x", 3, "a")],
            None,
        ),
        (
            "not where it is the wrong sharing",
            set(
                pod(),
                "/spec/containers/0/resources/limits",
                json!({"nvidia.com/gpu": "1"}),
            ),
            vec![there("lab", "x", 3, "a")],
            None,
        ),
    ] {
        let world = world(&nodes.map(slices), &others);
        let asked: &[&str] = if others.iter().any(|pod| pod["spec"]["nodeName"] == "avoided") {
            &["avoided", "a", "b"]
        } else {
            &["a", "b"]
        };
        let asked: Vec<&str> = asked
            .iter()
            .copied()
            .filter(|node| others.iter().any(|pod| pod["spec"]["nodeName"] == *node))
            .collect();
        let summary = wished(&world, &pod, &asked).map(|summary| summary.node);
        assert_eq!(summary.as_deref(), expected, "{what}");
    }
}

#[test]
fn room_that_is_kept_costs_nobody_else() {
    let others = [
        leaving(on(shares("lab", "x", 0, 1), "a")),
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
    let kept = Purpose::Kept { priority: 9 };
    reservations.reserve("p", "a", pod_request, kept, Duration::ZERO);
    let asked = question(&pod, &[("b", &["y"])]);
    assert_eq!(preempted(&world, &asked), "b: y");
    world.reserved = reservations.reserved().clone();
    assert_eq!(preempted(&world, &asked), "", "its victims are leaving elsewhere");
    assert_eq!(wished(&world, &pod, &["b"]), None);
    // Another of the same priority does not get that room: to it the node will be a stranger's.
    let other = shares("lab", "q", 9, 1);
    let answer = world.filter(&args("lab", &other, &["a", "b"]), AnswerSize::All);
    assert_eq!(answer["NodeNames"], json!(["b"]));
    // One of a higher priority does.
    let higher = shares("lab", "r", 10, 1);
    let answer = world.filter(&args("lab", &higher, &["a", "b"]), AnswerSize::All);
    assert_eq!(answer["NodeNames"], json!(["a", "b"]));
}

#[derive(Clone, Debug)]
struct Resident {
    namespace: &'static str,
    priority: i32,
    shares: u64,
    memory: u64,
    leaving: bool,
}

fn resident() -> impl Strategy<Value = Resident> {
    let namespaces = prop::sample::select(vec!["lab", "other-lab", "apart", "calm", "declared", "free"]);
    (namespaces, 0..5i32, 1..4u64, 0..12u64, prop::bool::weighted(0.2)).prop_map(
        |(namespace, priority, shares, memory, leaving)| Resident {
            namespace,
            priority,
            shares,
            memory,
            leaving,
        },
    )
}

fn there(at: usize, resident: &Resident) -> Value {
    let pod = on(
        shares(
            resident.namespace,
            &format!("r{at}"),
            resident.priority,
            resident.shares,
        ),
        "a",
    );
    let pod = declaring_memory(pod, &format!("{}Gi", resident.memory));
    if resident.leaving { leaving(pod) } else { pod }
}

/// Who stays first.
fn importance(at: usize, resident: &Resident) -> (bool, i32, u64, String) {
    let name = format!("{}/r{at}", resident.namespace);
    (resident.leaving, -resident.priority, resident.shares, name)
}

fn fits(residents: &[Resident], stay: impl Fn(usize) -> bool, pod: &Value) -> bool {
    let staying = residents.iter().enumerate().filter(|(at, _)| stay(*at));
    let pods: Vec<Value> = staying.map(|(at, resident)| there(at, resident)).collect();
    let world = world(&[slices("a")], &pods);
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    world.filter(&args(namespace, pod, &["a"]), AnswerSize::All)["NodeNames"] == json!(["a"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against all subsets: the answer lets the pod in, every victim is less important, none could be spared, and no other set spares
    /// somebody more important.
    #[test]
    fn no_other_victims_would_be_better(
        residents in prop::collection::vec(resident(), 1..7),
        namespace in prop::sample::select(vec!["lab", "apart", "calm", "declared"]),
        (priority, count) in (0..6i32, 1..6u64),
        given in 0..3usize,
    ) {
        let pod = declaring_memory(shares(namespace, "p", priority, count), "2Gi");
        let given = (0..residents.len()).find(|at| *at == given && residents[*at].priority < priority);
        let name = given.map_or("unseen".to_owned(), |at| format!("r{at}"));
        let pods: Vec<Value> = residents.iter().enumerate().map(|(at, resident)| there(at, resident)).collect();
        let shown = preempted(&world(&[slices("a")], &pods), &question(&pod, &[("a", &[&name])]));

        let mut order: Vec<usize> = (0..residents.len())
            .filter(|at| residents[*at].priority < priority && Some(*at) != given)
            .collect();
        order.sort_by_key(|at| importance(*at, &residents[*at]));
        // Every subset of those that may go, the most important as the highest bit: the least number spares the most important.
        let best = (0..1u32 << order.len()).find(|set| {
            let goes = |at: usize| {
                let rank = order.iter().position(|other| *other == at);
                rank.is_some_and(|rank| set >> (order.len() - 1 - rank) & 1 == 1) || Some(at) == given
            };
            fits(&residents, |at| !goes(at), &pod)
        });
        let expected = best.map(|set| {
            let goes = |rank: &usize| set >> (order.len() - 1 - rank) & 1 == 1;
            let mut uids: Vec<String> = (0..order.len()).filter(goes).map(|rank| format!("r{}", order[rank])).collect();
            uids.push(name.clone());
            uids.sort();
            uids
        });
        let answered = shown.strip_prefix("a: ").map(|uids| {
            let mut uids: Vec<String> = uids.split(' ').map(str::to_owned).collect();
            uids.sort();
            uids
        });
        prop_assert_eq!(answered, expected, "{:?}", residents);
    }
}
