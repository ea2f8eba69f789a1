//! Which pods are governed, what modes do, decision annotations and pending admissions.

use std::time::Duration;

use apportion_core::admission::AdmissionOutcome;
use apportion_core::decision::find_violation;
use apportion_core::inventory::PodSummary;
use apportion_core::policy::OnUnknown;
use apportion_core::policy::PolicySet;
use apportion_testing::{Node, a100, a100_mig_mixed, set, t4_renamed};
use serde_json::{Value, json};

use super::fixtures::{World, ledger, pod, policies, review, shipped_policies};
use super::rows::{describe, gpu, pod_of, pod_on, with_node_selector};

#[test]
fn forged_decision_annotations_are_replaced() {
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
        "our own annotation stays"
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
            "an annotation that contradicts its pod is replaced: {forged}"
        );
    }
    // On a pod that is not rewritten yet, even a correct annotation is ignored.
    let answer = world.admit("development", &set(gpu("4"), path, json!(ours)));
    assert_eq!(answer.outcome, AdmissionOutcome::Rewritten);
}

/// A pod, its namespace, and whether a policy governs it.
struct Row {
    name: &'static str,
    on_unknown: OnUnknown,
    namespace: &'static str,
    pod: Value,
    outcome: AdmissionOutcome,
}

/// A pod with one GPU that no policy governs.
impl Default for Row {
    fn default() -> Self {
        Row {
            name: "",
            on_unknown: OnUnknown::Refuse,
            namespace: "",
            pod: gpu("1"),
            outcome: AdmissionOutcome::Ungoverned,
        }
    }
}

#[test]
fn namespaces_labels_and_pods_decide_which_policy_governs() {
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
    for row in [
        Row {
            name: "an unknown namespace is refused by default",
            namespace: "new",
            outcome: AdmissionOutcome::UnknownRefused,
            ..Row::default()
        },
        Row {
            name: "an unknown namespace is admitted by setting",
            on_unknown: OnUnknown::Admit,
            namespace: "new",
            outcome: AdmissionOutcome::UnknownAdmitted,
            ..Row::default()
        },
        Row {
            name: "a label that names no policy is refused by default",
            namespace: "typo",
            outcome: AdmissionOutcome::UnknownRefused,
            ..Row::default()
        },
        Row {
            name: "a label that names no policy is admitted by setting",
            on_unknown: OnUnknown::Admit,
            namespace: "typo",
            outcome: AdmissionOutcome::UnknownAdmitted,
            ..Row::default()
        },
        Row {
            name: "a pod without GPUs in an unknown namespace is refused, because a policy with isolation could apply",
            namespace: "new",
            pod: pod(&[]),
            outcome: AdmissionOutcome::UnknownRefused,
            ..Row::default()
        },
        Row {
            name: "a pod without GPUs passes under a policy without isolation",
            namespace: "train",
            pod: pod(&[]),
            ..Row::default()
        },
        Row {
            name: "a pod with 0 GPUs has none",
            namespace: "train",
            pod: gpu("0"),
            ..Row::default()
        },
        Row {
            name: "a namespace without the label is not governed",
            namespace: "free",
            ..Row::default()
        },
        Row {
            name: "a namespace without the label is not governed, even if a count is invalid",
            namespace: "free",
            pod: gpu("half"),
            ..Row::default()
        },
        Row {
            name: "a mirror pod is not governed",
            namespace: "train",
            pod: mirror,
            ..Row::default()
        },
        Row {
            name: "kube-system is not governed, even with the label",
            namespace: "kube-system",
            ..Row::default()
        },
        Row {
            name: "Apportion's namespace is not governed",
            namespace: "apportion-system",
            ..Row::default()
        },
        Row {
            name: "a namespace with the label is governed",
            namespace: "train",
            outcome: AdmissionOutcome::Rewritten,
            ..Row::default()
        },
    ] {
        let Row { name, outcome, .. } = row;
        world.on_unknown = row.on_unknown;
        let answer = world.admit(row.namespace, &row.pod);
        let is_rewritten = outcome == AdmissionOutcome::Rewritten;
        assert_eq!((answer.outcome, answer.patched), (outcome, is_rewritten), "{name}");
        let code = answer.denial.map(|denial| denial.code);
        let is_refused = outcome == AdmissionOutcome::UnknownRefused;
        assert_eq!(code, is_refused.then_some(503), "{name}");
    }
    world.on_unknown = OnUnknown::Refuse;
    let mut without_isolation = world.clone();
    without_isolation.policies = policies([("training", "{strategies: [{strategy: exclusive}]}")]);
    let answer = without_isolation.admit("new", &pod(&[]));
    assert_eq!(
        answer.outcome,
        AdmissionOutcome::Ungoverned,
        "if no policy has isolation, a pod without GPUs passes in any namespace"
    );
    let message = world.admit("typo", &gpu("1")).denial.unwrap().message;
    assert_eq!(
        message,
        "apportion: namespace typo is labeled with policy trainning, which does not exist; the policies are development, inference, multi-tenant, training"
    );
    world.policies = PolicySet::default();
    assert_eq!(
        world.admit("new", &gpu("1")).outcome,
        AdmissionOutcome::Ungoverned,
        "without policies, no pod is governed"
    );
}

#[test]
fn modes_warn_and_audit_change_nothing() {
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
fn pending_admissions_count_as_taken() {
    let nodes = [a100_mig_mixed(), t4_renamed("mps")];
    let mut world = World::shipped(&nodes, &[pod_on("a100-mixed", "mig-1g.10gb", "54")]);
    let dry = world.admit_body(&review("inference", &gpu("1"), true));
    assert!(
        dry.patched && dry.pending_admission.is_none(),
        "a dry run adds no pending admission"
    );
    let mut strategies = Vec::new();
    for second in 0..4 {
        let answer = world.admit("inference", &gpu("1"));
        assert_eq!(
            world.admit("inference", &answer.pod).pending_admission,
            None,
            "a second pass adds no second pending admission"
        );
        strategies.push(answer.strategy.unwrap().as_str());
        world
            .pending
            .add(Duration::from_secs(second), answer.pending_admission.unwrap());
    }
    assert_eq!(
        strategies,
        ["mig", "mig", "mps", "mps"],
        "only two MIG devices are free"
    );
}

#[test]
fn regressions_that_property_tests_found() {
    // A second pass chose an earlier rule of the same strategy and narrowed the pod to its
    // products.
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

    // A container's explicit profile was not checked against the product that the pod selects.
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

    // One of the pod's terms selects a product that the rule does not allow. The rewrite makes the
    // term unsatisfiable, so the compliance scan must ignore it; it reported the pod as a
    // violation.
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
    let found = find_violation(&PodSummary::from_pod(&serde_json::from_str(&text).unwrap()), policy);
    assert_eq!((first.outcome, found), (AdmissionOutcome::Rewritten, None), "{text}");
}
