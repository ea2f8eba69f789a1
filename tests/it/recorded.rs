//! Requests that real Kubernetes components sent (`tests/data/recorded`), answered for the cluster
//! they came from.

use apportion_core::admission::AdmissionOutcome;
use apportion_core::admission::review;
use apportion_core::extender::wire::{Args, PreemptionArgs};
use apportion_core::extender::{AnswerSize, preempt, prioritize};
use apportion_testing::{Node, a100, a100_mig_mixed, t4};
use serde_json::{Value, json};

use super::fixtures::{World, ledger, on, pod, shipped_policies};
use super::rows::{WHOLE, describe};

/// The recorded files, by folder.
pub const ADMISSION: &[&str] = &[
    "deployment-create",
    "job-create-gpu-8",
    "pod-create-dry-run-generate-name",
    "pod-create-from-job-gpu-8",
    "pod-create-generated-sidecar-mig-and-gpu",
    "pod-create-gpu-1",
    "pod-create-priority-gpu-10",
    "pod-update",
    "pod-update-ephemeralcontainers-subresource",
    "pod-update-resize-subresource",
];
pub const EXTENDER: &[&str] = &[
    "bind",
    "filter-full-nodes",
    "filter-node-cache-capable",
    "preempt-full-nodes",
    "preempt-node-cache-capable",
    "prioritize-node-cache-capable",
];

pub fn bytes(folder: &str, name: &str) -> Vec<u8> {
    let path = format!(
        "{}/tests/data/recorded/{folder}/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(path).unwrap()
}

fn body(folder: &str, name: &str) -> Value {
    serde_json::from_slice(&bytes(folder, name)).unwrap()
}

fn nodes() -> [Node; 3] {
    [
        a100().named("a100-whole"),
        a100_mig_mixed().named("a100-mig"),
        t4("time-slicing").named("t4-ts"),
    ]
}

/// The three nodes and the namespaces of the recordings.
pub fn world(pods: &[Value]) -> World {
    let namespaces: &[(&str, &[(&str, &str)])] = &[
        ("train", &[("apportion.dev/policy", "training")]),
        ("tenants", &[("apportion.dev/policy", "multi-tenant")]),
        ("dev", &[("apportion.dev/policy", "development")]),
    ];
    World::new(shipped_policies(), ledger(&nodes(), pods, namespaces))
}

#[test]
fn every_recorded_file_is_tested() {
    for (folder, names) in [("admission", ADMISSION), ("extender", EXTENDER)] {
        let path = format!("{}/tests/data/recorded/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut found: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let mut listed: Vec<String> = names.iter().map(|name| format!("{name}.json")).collect();
        listed.sort();
        assert_eq!(found, listed);
    }
}

#[test]
fn recorded_reviews_are_answered() {
    let untouched = "";
    let slice = "c: gpu 1 | gpu.sharing-strategy In time-slicing";
    let ten = "mig-1g.10gb 1";
    let tenants = format!("warm: {ten}; c: {ten}; d: {ten} | mig-1g.10gb.sharing-strategy NotIn time-slicing");
    for (name, outcome, expected) in [
        ("deployment-create", AdmissionOutcome::Advised, untouched.to_owned()),
        ("job-create-gpu-8", AdmissionOutcome::Advised, untouched.to_owned()),
        (
            "pod-create-dry-run-generate-name",
            AdmissionOutcome::Rewritten,
            slice.to_owned(),
        ),
        (
            "pod-create-from-job-gpu-8",
            AdmissionOutcome::Rewritten,
            format!("c: gpu 8 | {WHOLE}"),
        ),
        (
            "pod-create-generated-sidecar-mig-and-gpu",
            AdmissionOutcome::Rewritten,
            tenants,
        ),
        ("pod-create-gpu-1", AdmissionOutcome::Rewritten, slice.to_owned()),
        (
            "pod-create-priority-gpu-10",
            AdmissionOutcome::Rewritten,
            format!("c: gpu 10 | {WHOLE}"),
        ),
        ("pod-update", AdmissionOutcome::Skipped, untouched.to_owned()),
        (
            "pod-update-ephemeralcontainers-subresource",
            AdmissionOutcome::Skipped,
            untouched.to_owned(),
        ),
        (
            "pod-update-resize-subresource",
            AdmissionOutcome::Skipped,
            untouched.to_owned(),
        ),
    ] {
        let body = body("admission", name);
        let answer = world(&[]).admit_body(&body);
        assert_eq!(answer.outcome, outcome, "{name}");
        if expected == untouched {
            assert!(!answer.patched && answer.denial.is_none(), "{name}");
            // A Deployment whose pods will be rewritten gets a warning; a Job for whole GPUs does
            // not.
            assert_eq!(
                !answer.warnings.is_empty(),
                name == "deployment-create",
                "{name}: {:?}",
                answer.warnings
            );
            assert_eq!(answer.pod, body["request"]["object"], "{name}");
        } else {
            assert_eq!(describe(&answer), expected, "{name}");
        }
        let promises = outcome == AdmissionOutcome::Rewritten && body["request"]["dryRun"] == false;
        assert_eq!(answer.pending_admission.is_some(), promises, "{name}");
    }
    // More GPUs than any node has: they stay, with a warning that the pod waits.
    let ten = world(&[]).admit_body(&body("admission", "pod-create-priority-gpu-10"));
    assert_eq!(
        ten.warnings,
        [
            "apportion (training): no node that the pod may run on offers nvidia.com/gpu (exclusive); the pod waits for one"
        ]
    );
}

#[test]
fn recorded_filter_calls_by_name_are_answered() {
    let body = body("extender", "filter-node-cache-capable");
    let answer = world(&[]).filter(&body, AnswerSize::default());
    assert_eq!(
        answer["NodeNames"],
        json!(["t4-ts"]),
        "a development pod on slices, not on whole GPUs"
    );
    assert_eq!((&answer["Nodes"], &answer["Error"]), (&json!(null), &json!("")));
    assert_eq!(answer["FailedAndUnresolvableNodes"], json!({}));

    let full = on(pod(&[("gpu", "16")]), "t4-ts");
    let answer = world(&[full]).filter(&body, AnswerSize::default());
    let why = json!({"t4-ts": "0 of 16 gpu free", "a100-whole": "gpu is a whole GPU, not a share"});
    assert_eq!(
        (&answer["NodeNames"], &answer["FailedAndUnresolvableNodes"]),
        (&json!([]), &why)
    );
    assert_eq!(answer["FailedNodes"], json!({}));
}

#[test]
fn recorded_filter_calls_with_nodes_are_answered() {
    // A training pod that fits 4 GPUs with 16 slices by the scheduler's count.
    let answer = world(&[]).filter(&body("extender", "filter-full-nodes"), AnswerSize::default());
    assert_eq!(answer["Nodes"], json!({"metadata": {}, "items": []}));
    assert_eq!(answer["NodeNames"], json!(null));
    assert_eq!(
        answer["FailedAndUnresolvableNodes"],
        json!({"t4-ts": "gpu is shared by time-slicing"})
    );
    assert_eq!((&answer["FailedNodes"], &answer["Error"]), (&json!({}), &json!("")));
}

#[test]
fn recorded_prioritize_calls_are_answered() {
    let bytes = bytes("extender", "prioritize-node-cache-capable");
    let args: Args<'_> = serde_json::from_slice(&bytes).unwrap();
    // Shares of another namespace lower the score by a tenth.
    for (taken, score) in [("0", 1), ("7", 5), ("15", 9)] {
        let world = world(&[on(pod(&[("gpu", taken)]), "t4-ts")]);
        let scores = prioritize(&args, &world.extender(), |scores| json!(scores)).unwrap();
        let expected = json!([{"Host": "t4-ts", "Score": score}, {"Host": "a100-whole", "Score": 0}]);
        assert_eq!(scores, expected, "{taken} of 16 taken");
    }
}

/// Real preempt calls in both forms. The training pod requests more whole GPUs than its node has,
/// so preemption does not help; without a policy, the answer repeats the victims.
#[test]
fn recorded_preempt_calls_are_answered() {
    for (name, victim) in [
        ("preempt-full-nodes", "3a059b20-2aa2-40ba-af03-a1eedb98c248"),
        ("preempt-node-cache-capable", "4d9ec0c1-eb6a-422e-b97d-28756b214c56"),
    ] {
        let recorded = bytes("extender", name);
        let args: PreemptionArgs<'_> = serde_json::from_slice(&recorded).unwrap();
        let answer = json!(preempt(&args, &world(&[]).extender()));
        assert_eq!(answer, json!({"NodeNameToMetaVictims": {}}), "{name}");
        let free = World::new(shipped_policies(), ledger(&nodes(), &[], &[("train", &[])]));
        let answer = json!(preempt(&args, &free.extender()));
        let victims = &answer["NodeNameToMetaVictims"]["t4-ts"];
        assert_eq!(victims["Pods"][0], json!({"UID": victim}), "{name}");
        assert_eq!(victims["NumPDBViolations"], 0, "{name}");
    }
}

/// A body that is sent to the wrong verb gets an error, without a panic.
#[test]
fn bodies_sent_to_the_wrong_verb_are_refused() {
    for name in ["bind", "preempt-full-nodes", "preempt-node-cache-capable"] {
        let bytes = bytes("extender", name);
        assert!(review::read(&bytes).is_err(), "{name} is no review");
        match serde_json::from_slice::<Args<'_>>(&bytes) {
            // Its pod is read as that of a filter call without nodes.
            Ok(args) => {
                let answer =
                    apportion_core::extender::filter(&args, &world(&[]).extender(), AnswerSize::All, |r| json!(r));
                assert_eq!(answer["Error"], "neither NodeNames nor Nodes is set", "{name}");
            }
            Err(error) => assert_eq!(
                (name, error.to_string().contains("missing field `Pod`")),
                ("bind", true)
            ),
        }
    }
}
