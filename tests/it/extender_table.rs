//! What the extender answers, row by row: the traps of the scheduler's wire format, and which nodes can hold what.

use apportion_core::extender::{AnswerSize, prioritize};
use apportion_core::policy::OnUnknown;
use serde_json::{Value, json};

use super::fixtures::{Node, World, a100, a100_mixed, a100_single, args, on, pod, t4, with};
use super::rows::{gpu, taken};

/// The nodes that fit, and why the others do not: `a100 | t4-mps: gpu is shared by mps`.
fn show(answer: &Value) -> String {
    assert_eq!(answer["Error"], "");
    assert_eq!(
        answer["FailedNodes"],
        json!({}),
        "A.5 preemption would fail with an error"
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

#[test]
fn which_nodes_can_hold_what() {
    let sliced = || Node::shared("Tesla-T4", (4, 4), 15360, "time-slicing", false).named("t4-16");
    let eight = || gpu("8");
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
    let init = with(
        gpu("4"),
        "/spec/initContainers",
        json!([{"name": "i", "resources": {"limits": {"nvidia.com/gpu": "6"}}}]),
    );
    let declared = |memory: &str| {
        with(
            pod(&[("gpu.shared", "1")]),
            "/metadata/annotations/apportion.dev~1gpu-memory",
            json!(memory),
        )
    };
    for (trap, namespace, pod, nodes, others, expected) in [
        (
            "A.7 a training pod for 8 is never sent to 4 GPUs cut into 16",
            "training",
            eight(),
            vec![sliced()],
            vec![],
            " | t4-16: gpu is shared by time-slicing",
        ),
        (
            "D.4 whole GPUs and MIG single have one resource name",
            "training",
            eight(),
            vec![a100(), a100_single()],
            vec![],
            "a100 | a100-single: gpu is a MIG device",
        ),
        (
            "what runs there is taken",
            "training",
            eight(),
            vec![a100()],
            vec![taken("a100", "gpu", "1")],
            " | a100: 7 of 8 gpu free",
        ),
        (
            "no eviction helps where the node never has so many",
            "training",
            gpu("10"),
            vec![a100()],
            vec![],
            " | a100: 8 gpu in all, 10 needed",
        ),
        (
            "C the busiest moment counts: init containers take turns with the others",
            "training",
            init,
            vec![a100()],
            vec![taken("a100", "gpu", "2")],
            "a100 | ",
        ),
        (
            "E.2 nodes that reconfigure MIG",
            "training",
            eight(),
            vec![paused()],
            vec![],
            " | a100: MIG reconfiguration pending",
        ),
        (
            "D.4 labels of whole GPUs, a plugin that cuts them",
            "training",
            eight(),
            vec![stale()],
            vec![],
            " | stale: gpu not usable: labels contradict allocatable",
        ),
        (
            "D.3 no labels at all",
            "training",
            eight(),
            vec![unlabelled()],
            vec![],
            " | bare: gpu not usable: no GPU labels",
        ),
        (
            "A.7 a resource that has gone stays as 0",
            "training",
            eight(),
            vec![zero()],
            vec![],
            " | zero: no gpu",
        ),
        (
            "D.2 an MPS share has its part of the memory",
            "inference",
            declared("4Gi"),
            vec![t4("mps", true)],
            vec![],
            " | t4-mps: 3840Mi GPU memory a share, 4Gi needed",
        ),
        (
            "and no more",
            "inference",
            declared("3840Mi"),
            vec![t4("mps", true)],
            vec![],
            "t4-mps | ",
        ),
        (
            "E.1 a profile that the policy does not list",
            "multi-tenant",
            pod(&[("mig-7g.80gb", "1")]),
            vec![Node::mixed("NVIDIA-A100-SXM4-80GB", "7g.80gb", 8, 80000)],
            vec![],
            " | mixed: MIG profile 7g.80gb not allowed",
        ),
        (
            "a product that the policy does not list",
            "inference",
            pod(&[("gpu.shared", "1")]),
            vec![Node::shared("NVIDIA-L4", (1, 4), 23034, "mps", true)],
            vec![],
            " | shared: GPU product not allowed",
        ),
        (
            "a tenant beside nobody",
            "multi-tenant",
            gpu("1"),
            vec![a100(), t4("mps", false), a100_single()],
            vec![],
            "a100-single | a100: gpu is a whole GPU, not a share; t4-mps: gpu is shared by mps",
        ),
        (
            "A.4 a pod without a GPU is not ours",
            "training",
            pod(&[]),
            vec![sliced()],
            vec![],
            "t4-16 | ",
        ),
        (
            "nor one in a namespace without a policy",
            "kube-system",
            eight(),
            vec![sliced()],
            vec![],
            "t4-16 | ",
        ),
        (
            "a demand that can not be read is not an empty one",
            "training",
            pod(&[("gpu", "1"), ("mig-huge", "0")]),
            vec![sliced()],
            vec![],
            " | t4-16: spec.containers[0].resources.limits[nvidia.com/mig-huge]: `nvidia.com/mig-huge` names no MIG profile: `huge` is not a MIG profile; write one as NVIDIA does, such as 1g.10gb or 1g.10gb+me",
        ),
        (
            "what is unreadable beside it hides no GPU that is taken",
            "training",
            eight(),
            vec![a100()],
            vec![on(pod(&[("gpu", "1"), ("mig-huge", "1")]), "a100")],
            " | a100: 7 of 8 gpu free",
        ),
    ] {
        let world = World::shipped(&nodes, &others);
        let names: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
        let question = args(namespace, &pod, &names);
        let answer = world.filter(&question, AnswerSize::All);
        assert_eq!(show(&answer), expected, "{trap}");
        assert_eq!(
            world.filter(&question, AnswerSize::All),
            answer,
            "A.4 two calls in one cycle are normal: {trap}"
        );
    }
}

#[test]
fn namespaces_and_policies_that_are_not_known() {
    let mut world = World::shipped(&[a100()], &[]);
    for (on_unknown, expected) in [
        (OnUnknown::Refuse, " | a100: namespace new not known to apportion yet"),
        (OnUnknown::Admit, "a100 | "),
    ] {
        world.on_unknown = on_unknown;
        assert_eq!(
            show(&world.filter(&args("new", &gpu("1"), &["a100"]), AnswerSize::All)),
            expected
        );
    }
}

#[test]
fn nulls_of_the_wire_format() {
    let world = World::shipped(&[a100()], &[]);
    let ask = |nodes: Value, names: Value| {
        world.filter(
            &json!({"Pod": args("training", &gpu("1"), &[])["Pod"], "Nodes": nodes, "NodeNames": names}),
            AnswerSize::All,
        )
    };
    for (trap, names, expected) in [
        (
            "A.5 no node is a list without any: null would reject all, without a word",
            json!([]),
            json!([]),
        ),
        ("A.1 unknown nodes are refused, not named", json!(["new"]), json!([])),
        ("known ones are named", json!(["a100"]), json!(["a100"])),
    ] {
        let answer = ask(json!(null), names);
        assert_eq!(
            (&answer["NodeNames"], &answer["Nodes"], &answer["Error"]),
            (&expected, &json!(null), &json!("")),
            "{trap}"
        );
    }
    assert_eq!(
        ask(json!(null), json!(["new"]))["FailedAndUnresolvableNodes"]["new"],
        "not known to apportion yet"
    );

    // nodeCacheCapable: false. What fits goes back byte for byte, with fields that are not ours.
    let (fits, other) = (
        with(a100().to_json(), "/x", json!({"y": 1.50})),
        t4("mps", false).to_json(),
    );
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
fn a_short_answer_is_the_best_of_the_long_one() {
    let mut nodes: Vec<Node> = (0..30u64).map(|n| a100().named(format!("n{n:02}"))).collect();
    let others: Vec<Value> = [7, 11, 23, 29]
        .iter()
        .map(|n| taken(&format!("n{n:02}"), "gpu", "4"))
        .collect();
    nodes[29] = nodes[29].clone().tainted("PreferNoSchedule");
    let world = World::shipped(&nodes, &others);
    let fit = |pod: &Value, size| world.filter_names("training", pod, &nodes, size);
    let (two, busy) = (gpu("2"), ["n07", "n11", "n23"]);
    assert_eq!(fit(&two, AnswerSize::All).len(), 30);
    assert_eq!(
        fit(&two, AnswerSize::default()),
        busy,
        "whole GPUs go where they leave the fewest behind"
    );
    assert_eq!(fit(&two, AnswerSize::Best(2)), busy[..2]);
    assert_eq!(
        fit(&gpu("5"), AnswerSize::default()).len(),
        20,
        "of equals the first that were asked about"
    );
    assert_eq!(
        fit(&gpu("5"), AnswerSize::Best(99)).len(),
        26,
        "the one that is to be spared comes last"
    );

    let tolerant = with(two.clone(), "/spec/tolerations", json!([{"operator": "Exists"}]));
    assert_eq!(fit(&tolerant, AnswerSize::default()), ["n07", "n11", "n23", "n29"]);
    let picky = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]);
    let picky = with(two, "/spec/topologySpreadConstraints", picky);
    let choice = fit(&picky, AnswerSize::default());
    assert_eq!((choice.len(), &choice[..3]), (20, &busy.map(str::to_owned)[..]));

    let quiet = world.filter(&args("training", &gpu("5"), &["n00", "n07"]), AnswerSize::default());
    assert_eq!(show(&quiet), "n00 | ", "reasons are for when nothing fits");
    let last = world.filter(&args("training", &gpu("4"), &["n29"]), AnswerSize::default());
    assert_eq!(show(&last), "n29 | ", "and is better than none");
}

#[test]
fn shares_are_packed() {
    let nodes = [
        t4("time-slicing", true).named("busy"),
        t4("time-slicing", true).named("idle"),
        a100_mixed(),
    ];
    let world = World::shipped(&nodes, &[taken("busy", "gpu.shared", "7")]);
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
    assert_eq!(scores, expected, "A.1 a bare list from 0 to 10");
}
