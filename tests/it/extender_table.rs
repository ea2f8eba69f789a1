//! What the extender answers: which nodes can hold which pod, and the corner cases of the
//! scheduler's wire format.

use apportion_core::extender::{AnswerSize, prioritize};
use apportion_core::policy::OnUnknown;
use apportion_testing::{Naming, Node, a100, a100_mig_mixed, a100_mig_single, set, t4, t4_renamed};
use serde_json::{Value, json};

use super::fixtures::{World, args, on, pod};
use super::rows::{gpu, pod_on};

/// The filter's answer in one line, such as `a100 | t4-mps: gpu is shared by mps`: the nodes that
/// fit, and why the others do not.
fn describe(answer: &Value) -> String {
    assert_eq!(answer["Error"], "");
    assert_eq!(
        answer["FailedNodes"],
        json!({}),
        "preemption in the scheduler would fail on these"
    );
    let fit: Vec<&str> = answer["NodeNames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let failed = answer["FailedAndUnresolvableNodes"].as_object().unwrap().iter();
    let failed: Vec<String> = failed
        .map(|(name, why)| format!("{name}: {}", why.as_str().unwrap()))
        .collect();
    format!("{} | {}", fit.join(", "), failed.join("; "))
}

/// A pod, the cluster it comes to, and the nodes that the filter leaves.
struct Row {
    name: &'static str,
    namespace: &'static str,
    pod: Value,
    nodes: Vec<Node>,
    /// Pods on the nodes.
    others: Vec<Value>,
    /// See [`describe`].
    expected: &'static str,
}

/// A training pod that requests eight GPUs.
impl Default for Row {
    fn default() -> Self {
        Row {
            name: "",
            namespace: "training",
            pod: gpu("8"),
            nodes: Vec::new(),
            others: Vec::new(),
            expected: "",
        }
    }
}

#[test]
fn the_filter_leaves_nodes_that_can_hold_the_pod() {
    let sliced = || Node::shared("Tesla-T4", (4, 4), 15360, "time-slicing", Naming::Same).named("t4-16");
    let paused = || a100().label("nvidia.com/mig.config.state", "pending");
    let stale = || {
        Node::new(
            "stale",
            "gpu.product=Tesla-T4 gpu.count=4 gpu.replicas=1 gpu.sharing-strategy=none",
            "gpu=16",
        )
    };
    let unlabelled = || Node::new("bare", "", "gpu=8");
    let zero = || {
        Node::new(
            "zero",
            "gpu.product=Tesla-T4 gpu.count=4 gpu.replicas=4 gpu.sharing-strategy=time-slicing",
            "gpu=0 gpu.shared=16",
        )
    };
    let init = set(
        gpu("4"),
        "/spec/initContainers",
        json!([{"name": "i", "resources": {"limits": {"nvidia.com/gpu": "6"}}}]),
    );
    let declared = |memory: &str| {
        set(
            pod(&[("gpu.shared", "1")]),
            "/metadata/annotations/apportion.dev~1gpu-memory",
            json!(memory),
        )
    };
    for row in [
        Row {
            name: "a training pod for 8 GPUs is not sent to 4 GPUs with 16 shares",
            nodes: vec![sliced()],
            expected: " | t4-16: gpu is shared by time-slicing",
            ..Row::default()
        },
        Row {
            name: "whole GPUs and MIG single share a resource name; labels tell them apart",
            nodes: vec![a100(), a100_mig_single()],
            expected: "a100 | a100-single: gpu is a MIG device",
            ..Row::default()
        },
        Row {
            name: "GPUs of running pods are taken",
            nodes: vec![a100()],
            others: vec![pod_on("a100", "gpu", "1")],
            expected: " | a100: 7 of 8 gpu free",
            ..Row::default()
        },
        Row {
            name: "a node that is too small says so, because eviction does not help",
            pod: gpu("10"),
            nodes: vec![a100()],
            expected: " | a100: 8 gpu in all, 10 needed",
            ..Row::default()
        },
        Row {
            name: "the peak counts: init containers run before the others",
            pod: init,
            nodes: vec![a100()],
            others: vec![pod_on("a100", "gpu", "2")],
            expected: "a100 | ",
            ..Row::default()
        },
        Row {
            name: "a node that reconfigures MIG is left out",
            nodes: vec![paused()],
            expected: " | a100: MIG reconfiguration pending",
            ..Row::default()
        },
        Row {
            name: "labels of whole GPUs contradict a plugin that shares them",
            nodes: vec![stale()],
            expected: " | stale: gpu not usable: labels contradict allocatable",
            ..Row::default()
        },
        Row {
            name: "a node without GPU labels is left out",
            nodes: vec![unlabelled()],
            expected: " | bare: gpu not usable: no GPU labels",
            ..Row::default()
        },
        Row {
            name: "a resource that the plugin removed stays in allocatable as 0",
            nodes: vec![zero()],
            expected: " | zero: no gpu",
            ..Row::default()
        },
        Row {
            name: "an MPS share has its fraction of the GPU memory",
            namespace: "inference",
            pod: declared("4Gi"),
            nodes: vec![t4_renamed("mps")],
            expected: " | t4-mps: 3840Mi GPU memory a share, 4Gi needed",
            ..Row::default()
        },
        Row {
            name: "an MPS share has exactly its fraction of the GPU memory",
            namespace: "inference",
            pod: declared("3840Mi"),
            nodes: vec![t4_renamed("mps")],
            expected: "t4-mps | ",
            ..Row::default()
        },
        Row {
            name: "a MIG profile that the policy does not list is left out",
            namespace: "multi-tenant",
            pod: pod(&[("mig-7g.80gb", "1")]),
            nodes: vec![Node::mig_mixed("NVIDIA-A100-SXM4-80GB", "7g.80gb", 8, 80000)],
            expected: " | mixed: MIG profile 7g.80gb not allowed",
            ..Row::default()
        },
        Row {
            name: "a product that the policy does not list is left out",
            namespace: "inference",
            pod: pod(&[("gpu.shared", "1")]),
            nodes: vec![Node::shared("NVIDIA-L4", (1, 4), 23034, "mps", Naming::Renamed)],
            expected: " | shared: GPU product not allowed",
            ..Row::default()
        },
        Row {
            name: "a tenant gets a MIG device only",
            namespace: "multi-tenant",
            pod: gpu("1"),
            nodes: vec![a100(), t4("mps"), a100_mig_single()],
            expected: "a100-single | a100: gpu is a whole GPU, not a share; t4-mps: gpu is shared by mps",
            ..Row::default()
        },
        Row {
            name: "a pod without GPUs passes",
            pod: pod(&[]),
            nodes: vec![sliced()],
            expected: "t4-16 | ",
            ..Row::default()
        },
        Row {
            name: "a pod in a namespace without a policy passes",
            namespace: "kube-system",
            nodes: vec![sliced()],
            expected: "t4-16 | ",
            ..Row::default()
        },
        Row {
            name: "an invalid request is refused, not treated as empty",
            pod: pod(&[("gpu", "1"), ("mig-huge", "0")]),
            nodes: vec![sliced()],
            expected: " | t4-16: spec.containers[0].resources.limits[nvidia.com/mig-huge]: `nvidia.com/mig-huge` names no MIG profile: `huge` is not a MIG profile; write one as NVIDIA does, such as 1g.10gb or 1g.10gb+me",
            ..Row::default()
        },
        Row {
            name: "an invalid resource of a running pod does not hide its valid ones",
            nodes: vec![a100()],
            others: vec![on(pod(&[("gpu", "1"), ("mig-huge", "1")]), "a100")],
            expected: " | a100: 7 of 8 gpu free",
            ..Row::default()
        },
    ] {
        let world = World::shipped(&row.nodes, &row.others);
        let names: Vec<&str> = row.nodes.iter().map(|node| &*node.name).collect();
        let args = args(row.namespace, &row.pod, &names);
        let answer = world.filter(&args, AnswerSize::All);
        assert_eq!(describe(&answer), row.expected, "{}", row.name);
        // The scheduler may call twice in one cycle.
        assert_eq!(world.filter(&args, AnswerSize::All), answer, "{}", row.name);
    }
}

#[test]
fn an_unknown_namespace_is_refused_or_admitted_by_setting() {
    let mut world = World::shipped(&[a100()], &[]);
    for (on_unknown, expected) in [
        (OnUnknown::Refuse, " | a100: namespace new not known to apportion yet"),
        (OnUnknown::Admit, "a100 | "),
    ] {
        world.on_unknown = on_unknown;
        assert_eq!(
            describe(&world.filter(&args("new", &gpu("1"), &["a100"]), AnswerSize::All)),
            expected
        );
    }
}

#[test]
fn null_and_empty_lists_are_told_apart_on_the_wire() {
    let world = World::shipped(&[a100()], &[]);
    let ask = |nodes: Value, names: Value| {
        world.filter(
            &json!({"Pod": args("training", &gpu("1"), &[])["Pod"], "Nodes": nodes, "NodeNames": names}),
            AnswerSize::All,
        )
    };
    for (name, names, expected) in [
        (
            "no node is an empty list: null would reject all nodes silently",
            json!([]),
            json!([]),
        ),
        ("unknown nodes are left out", json!(["new"]), json!([])),
        ("known nodes are returned", json!(["a100"]), json!(["a100"])),
    ] {
        let answer = ask(json!(null), names);
        assert_eq!(
            (&answer["NodeNames"], &answer["Nodes"], &answer["Error"]),
            (&expected, &json!(null), &json!("")),
            "{name}"
        );
    }
    assert_eq!(
        ask(json!(null), json!(["new"]))["FailedAndUnresolvableNodes"]["new"],
        "not known to apportion yet"
    );

    // nodeCacheCapable: false. Nodes that fit are returned as they came, with unknown fields.
    let (fits, other) = (set(a100().to_json(), "/x", json!({"y": 1.50})), t4("mps").to_json());
    let answer = ask(json!({"metadata": {}, "items": [fits, other]}), json!(null));
    assert_eq!(answer["Nodes"], json!({"metadata": {}, "items": [fits]}));
    assert_eq!((&answer["NodeNames"], &answer["Error"]), (&json!(null), &json!("")));
    assert_eq!(
        answer["FailedAndUnresolvableNodes"],
        json!({"t4-mps": "gpu is shared by mps"})
    );
    for items in [json!(null), json!([])] {
        assert_eq!(
            ask(json!({"metadata": {}, "items": items}), json!(null))["Nodes"]["items"],
            json!([])
        );
    }
    assert_eq!(
        ask(json!(null), json!(null))["Error"],
        "neither NodeNames nor Nodes is set"
    );
}

#[test]
fn a_limited_answer_holds_the_best_nodes() {
    let mut nodes: Vec<Node> = (0..30u64).map(|n| a100().named(format!("n{n:02}"))).collect();
    let others: Vec<Value> = [7, 11, 23, 29]
        .iter()
        .map(|n| pod_on(&format!("n{n:02}"), "gpu", "4"))
        .collect();
    nodes[29] = nodes[29].clone().taint("PreferNoSchedule");
    let world = World::shipped(&nodes, &others);
    let fit = |pod: &Value, size| world.filter_names("training", pod, &nodes, size);
    let (two, busy) = (gpu("2"), ["n07", "n11", "n23"]);
    assert_eq!(fit(&two, AnswerSize::All).len(), 30);
    assert_eq!(fit(&two, AnswerSize::default()), busy, "whole GPUs are placed best-fit");
    assert_eq!(fit(&two, AnswerSize::Best(2)), busy[..2]);
    assert_eq!(
        fit(&gpu("5"), AnswerSize::default()).len(),
        20,
        "of equal nodes, the first ones of the request"
    );
    assert_eq!(
        fit(&gpu("5"), AnswerSize::Best(99)).len(),
        26,
        "a node with a PreferNoSchedule taint comes last"
    );

    let tolerant = set(two.clone(), "/spec/tolerations", json!([{"operator": "Exists"}]));
    assert_eq!(fit(&tolerant, AnswerSize::default()), ["n07", "n11", "n23", "n29"]);
    let picky = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]);
    let picky = set(two, "/spec/topologySpreadConstraints", picky);
    let choice = fit(&picky, AnswerSize::default());
    assert_eq!((choice.len(), &choice[..3]), (20, &busy.map(str::to_owned)[..]));

    let quiet = world.filter(&args("training", &gpu("5"), &["n00", "n07"]), AnswerSize::default());
    assert_eq!(describe(&quiet), "n00 | ", "reasons are sent only if no node fits");
    let last = world.filter(&args("training", &gpu("4"), &["n29"]), AnswerSize::default());
    assert_eq!(
        describe(&last),
        "n29 | ",
        "a node with a PreferNoSchedule taint is better than none"
    );
}

#[test]
fn shares_go_to_the_busiest_node() {
    let nodes = [
        t4_renamed("time-slicing").named("busy"),
        t4_renamed("time-slicing").named("idle"),
        a100_mig_mixed(),
    ];
    let world = World::shipped(&nodes, &[pod_on("busy", "gpu.shared", "7")]);
    let text = args(
        "development",
        &pod(&[("gpu.shared", "1")]),
        &["idle", "busy", "a100-mixed", "new"],
    )
    .to_string();
    let scores = prioritize(&serde_json::from_str(&text).unwrap(), &world.extender(), |scores| {
        json!(scores)
    })
    .unwrap();
    let expected = json!([{"Host": "idle", "Score": 1}, {"Host": "busy", "Score": 5}, {"Host": "a100-mixed", "Score": 0}, {"Host": "new", "Score": 0}]);
    assert_eq!(scores, expected, "a list of scores from 0 to 10");
}
