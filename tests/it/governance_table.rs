//! Who is governed, what a mode makes of a decision, and what is believed and promised, row by row.

use std::time::Duration;

use apportion_core::admission::AdmissionOutcome;
use apportion_core::decision::breach;
use apportion_core::inventory::PodSummary;
use apportion_core::policy::PolicySet;
use apportion_core::policy::governance::OnUnknown;
use apportion_testing::{Node, a100, a100_mig_mixed, set, t4_renamed};
use serde_json::json;

use super::fixtures::{World, ledger, pod, policies, review, shipped_policies};
use super::rows::{describe, gpu, pod_of, pod_on, with_node_selector};

#[test]
fn records_that_somebody_else_wrote_are_replaced() {
    let world = World::shipped(&[t4_renamed("time-slicing")], &[]);
    let rewritten = world.admit("development", &gpu("4")).pod;
    let path = "/metadata/annotations/apportion.dev~1decision";
    let ours = rewritten.pointer(path).unwrap().as_str().unwrap().to_owned();
    assert_eq!(
        ours,
        r#"{"policy":"development","strategy":"time-slicing","before":{"c":{"nvidia.com/gpu":4}},"after":{"c":{"nvidia.com/gpu.shared":1}}}"#
    );
    assert_eq!(
        world.admit("development", &rewritten).outcome,
        AdmissionOutcome::Unchanged,
        "7 our own stays"
    );
    for forged in [
        ours.replace("time-slicing", "mig"),
        ours.replace("gpu.shared\":1", "gpu\":8"),
        "{}".to_owned(),
        String::new(),
    ] {
        let answer = world.admit("development", &set(rewritten.clone(), path, json!(forged)));
        let after = answer.pod.pointer(path).unwrap().as_str().unwrap();
        assert!(
            answer.patched && after != forged,
            "7 one that contradicts its pod is replaced: {forged}"
        );
    }
    // On the pod as the user wrote it, not even ours is believed.
    let answer = world.admit("development", &set(gpu("4"), path, json!(ours)));
    assert_eq!(answer.outcome, AdmissionOutcome::Rewritten);
}

#[test]
fn who_is_governed() {
    let labels: &[(&str, &[(&str, &str)])] = &[
        ("train", &[("apportion.dev/policy", "training")]),
        ("typo", &[("apportion.dev/policy", "trainning")]),
        ("free", &[]),
        ("kube-system", &[("apportion.dev/policy", "training")]),
        ("apportion-system", &[("apportion.dev/policy", "training")]),
    ];
    let mut world = World::new(shipped_policies(), ledger(&[a100()], &[], labels));
    let mirror = set(
        gpu("1"),
        "/metadata/annotations/kubernetes.io~1config.mirror",
        json!("hash"),
    );
    let (refuse, admit) = (OnUnknown::Refuse, OnUnknown::Admit);
    for (rule, on_unknown, namespace, pod, outcome) in [
        (
            "7 a namespace that is not known yet is refused by default",
            refuse,
            "new",
            gpu("1"),
            AdmissionOutcome::UnknownRefused,
        ),
        (
            "7 or admitted by a setting",
            admit,
            "new",
            gpu("1"),
            AdmissionOutcome::UnknownAdmitted,
        ),
        (
            "7 a label that names no policy is an error, not a wish",
            refuse,
            "typo",
            gpu("1"),
            AdmissionOutcome::UnknownRefused,
        ),
        (
            "7 which the setting admits too",
            admit,
            "typo",
            gpu("1"),
            AdmissionOutcome::UnknownAdmitted,
        ),
        (
            "7 a pod without a GPU too: a policy that keeps it from GPUs could apply",
            refuse,
            "new",
            pod(&[]),
            AdmissionOutcome::UnknownRefused,
        ),
        (
            "H and passes where its policy does not ask for that",
            refuse,
            "train",
            pod(&[]),
            AdmissionOutcome::Ungoverned,
        ),
        (
            "A.4 0 GPUs are none",
            refuse,
            "train",
            gpu("0"),
            AdmissionOutcome::Ungoverned,
        ),
        (
            "9 no policy governs it",
            refuse,
            "free",
            gpu("1"),
            AdmissionOutcome::Ungoverned,
        ),
        (
            "9 not even one that can not be read",
            refuse,
            "free",
            gpu("half"),
            AdmissionOutcome::Ungoverned,
        ),
        ("9 a mirror pod", refuse, "train", mirror, AdmissionOutcome::Ungoverned),
        (
            "9 kube-system, whatever its label says",
            refuse,
            "kube-system",
            gpu("1"),
            AdmissionOutcome::Ungoverned,
        ),
        (
            "9 our own namespace",
            refuse,
            "apportion-system",
            gpu("1"),
            AdmissionOutcome::Ungoverned,
        ),
        ("governed", refuse, "train", gpu("1"), AdmissionOutcome::Rewritten),
    ] {
        world.on_unknown = on_unknown;
        let answer = world.admit(namespace, &pod);
        assert_eq!(
            (answer.outcome, answer.patched),
            (outcome, outcome == AdmissionOutcome::Rewritten),
            "{rule}"
        );
        let refused = answer.denial.map(|denial| denial.code);
        assert_eq!(
            refused,
            (outcome == AdmissionOutcome::UnknownRefused).then_some(503),
            "{rule}"
        );
    }
    world.on_unknown = OnUnknown::Refuse;
    let mut sharing_alone = world.clone();
    sharing_alone.policies = policies([("training", "{strategies: [{strategy: exclusive}]}")]);
    let answer = sharing_alone.admit("new", &pod(&[]));
    assert_eq!(
        answer.outcome,
        AdmissionOutcome::Ungoverned,
        "7 without any policy that keeps pods from GPUs, one that asks for none passes, known or not"
    );
    let message = world.admit("typo", &gpu("1")).denial.unwrap().message;
    assert_eq!(
        message,
        "apportion: namespace typo is labelled with policy trainning, which does not exist; the policies are development, inference, multi-tenant, training"
    );
    world.policies = PolicySet::default();
    assert_eq!(
        world.admit("new", &gpu("1")).outcome,
        AdmissionOutcome::Ungoverned,
        "without any policy nobody is governed"
    );
}

#[test]
fn modes_that_only_watch() {
    for (mode, pod, outcome, warnings) in [
        (
            "Warn",
            gpu("2"),
            AdmissionOutcome::WouldRewrite,
            vec![
                "apportion (p): would be: nvidia.com/gpu 2 -> nvidia.com/gpu.shared 1: time-slicing; more shares give no more compute",
            ],
        ),
        (
            "Warn",
            gpu("0.5"),
            AdmissionOutcome::WouldDeny,
            vec![
                "apportion (p): would be denied: spec.containers[0].resources.limits[nvidia.com/gpu]: `0.5` must be a whole number that is not negative; correct it",
            ],
        ),
        ("Audit", gpu("2"), AdmissionOutcome::WouldRewrite, vec![]),
        ("Audit", gpu("0.5"), AdmissionOutcome::WouldDeny, vec![]),
    ] {
        let world = World::of(
            &format!("{{mode: {mode}, strategies: [{{strategy: time-slicing}}]}}"),
            &[t4_renamed("time-slicing")],
            &[],
        );
        let answer = world.admit("ns", &pod);
        assert_eq!(
            (answer.outcome, answer.warnings.iter().map(String::as_str).collect()),
            (outcome, warnings),
            "{mode}"
        );
        assert!(
            !answer.patched
                && answer.denial.is_none()
                && answer.pending_admission.is_none()
                && !answer.because.is_empty(),
            "{mode}"
        );
    }
}

#[test]
fn claims_keep_a_burst_off_the_last_slice() {
    let nodes = [a100_mig_mixed(), t4_renamed("mps")];
    let mut world = World::shipped(&nodes, &[pod_on("a100-mixed", "mig-1g.10gb", "54")]);
    let dry = world.admit_body(&review("inference", &gpu("1"), true));
    assert!(
        dry.patched && dry.pending_admission.is_none(),
        "a dry run promises nothing"
    );
    let mut strategies = Vec::new();
    for second in 0..4 {
        let answer = world.admit("inference", &gpu("1"));
        assert_eq!(
            world.admit("inference", &answer.pod).pending_admission,
            None,
            "a second pass promises nothing twice"
        );
        strategies.push(answer.strategy.unwrap().as_str());
        world
            .pending
            .add(Duration::from_secs(second), answer.pending_admission.unwrap());
    }
    assert_eq!(strategies, ["mig", "mig", "mps", "mps"], "1 two slices are free");
}

#[test]
fn shrunken_cases_of_the_properties() {
    // A second pass came to an earlier rule of the same strategy, and narrowed the pod to that rule's products.
    let h100 = Node::whole("NVIDIA-H100-80GB-HBM3", 2, 81559).label("zone", "b");
    let spec = "{strategies: [{strategy: exclusive, products: [A100]}, {strategy: exclusive}]}";
    let world = World::of(spec, &[a100(), h100], &[]);
    let first = world.admit("ns", &with_node_selector(gpu("1"), "zone", "b"));
    assert_eq!(
        world.admit("ns", &first.pod).outcome,
        AdmissionOutcome::Unchanged,
        "{}",
        first.pod
    );

    // A container's own profile was not held against the product that the pod pins, only the profile of the others was.
    let spec = "{strategies: [{strategy: mig, profiles: [1g.10gb+me, 2g.12gb], products: [A100, A30]}, {strategy: mig, profiles: [2g.12gb]}]}";
    let world = World::of(spec, &[], &[]);
    let pod = pod_of(&[("i", false, "mig-1g.10gb", "1")], &[("c", "gpu", "1")]);
    let first = world.admit("ns", &with_node_selector(pod, "nvidia.com/gpu.product", "NVIDIA-A30"));
    let expected = "i: mig-2g.12gb 1; c: mig-2g.12gb 1 | mig-2g.12gb.sharing-strategy NotIn time-slicing";
    assert_eq!(describe(&first), expected, "an A30 has no 1g.10gb+me");
    assert_eq!(
        world.admit("ns", &first.pod).outcome,
        AdmissionOutcome::Unchanged,
        "{}",
        first.pod
    );

    // One of the pod's alternatives pins a product that the rule does not serve. Our own requirement closes it, and then it must not weigh
    // any more: the pod was taken for one that had slipped past.
    let single = Node::whole("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", 2, 10000).label("nvidia.com/gpu.slices.gi", "1");
    let world = World::of("{strategies: [{strategy: mig, profiles: [1g.10gb]}]}", &[single], &[]);
    let terms = json!([
        {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-A100-SXM4-80GB"]}]},
        {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["x"]}]},
    ]);
    let pod = set(
        gpu("1"),
        "/spec/affinity",
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}),
    );
    let first = world.admit("ns", &pod);
    let text = first.pod.to_string();
    let policy = world.policies.get("p").unwrap();
    let found = breach(&PodSummary::of(&serde_json::from_str(&text).unwrap()), policy);
    assert_eq!((first.outcome, found), (AdmissionOutcome::Rewritten, None), "{text}");
}
