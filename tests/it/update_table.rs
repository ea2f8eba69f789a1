//! What a change of a running pod can bring, row by row: ephemeral containers and annotations.

use apportion_core::admission::AdmissionOutcome;
use apportion_testing::set;
use serde_json::{Value, json};

use super::fixtures::review;
use super::isolation_table::{TENANT, blamed, two, variable, world};

/// The review of an ephemeral container that is added to a running pod beside others.
pub fn debug(namespace: &str, there: &[Value], added: &Value) -> Value {
    let before = set(two(), "/spec/ephemeralContainers", json!(there));
    // In whatever order: a patch keeps none.
    let now = set(
        two(),
        "/spec/ephemeralContainers",
        json!([std::slice::from_ref(added), there].concat()),
    );
    update(namespace, "ephemeralcontainers", &before, &now)
}

fn update(namespace: &str, subresource: &str, before: &Value, now: &Value) -> Value {
    let mut body = review(namespace, now, false);
    for (pointer, value) in [
        ("/request/operation", json!("UPDATE")),
        ("/request/subResource", json!(subresource)),
        ("/request/oldObject", before.clone()),
    ] {
        body = set(body, pointer, value);
    }
    body
}

#[test]
fn ephemeral_containers_are_checked() {
    let plain = json!({"name": "debugger", "image": "cuda"});
    let privileged = set(plain.clone(), "/securityContext", json!({"privileged": true}));
    for (rule, added, field) in [
        (
            "H env",
            set(plain.clone(), "/env", json!([variable("all")])),
            "spec.ephemeralContainers[0].env[0]",
        ),
        (
            "H privileged",
            privileged.clone(),
            "spec.ephemeralContainers[0].securityContext.privileged",
        ),
        (
            "H the runtime's mounts",
            set(
                plain.clone(),
                "/volumeMounts",
                json!([{"name": "n", "mountPath": "/var/run/nvidia-container-devices/0"}]),
            ),
            "spec.ephemeralContainers[0].volumeMounts[0].mountPath",
        ),
    ] {
        let body = debug(TENANT, &[], &added);
        assert_eq!(blamed(&world().admit_body(&body)).0, field, "{rule}");
        let elsewhere = world().admit_body(&debug("training", &[], &added));
        assert_eq!(
            (elsewhere.outcome, elsewhere.patched),
            (AdmissionOutcome::Skipped, false),
            "{rule}: no isolation asked for"
        );
    }
    // One that says nothing is told to see no GPU, as any other container is; what was there stays, for it can not be changed.
    let old = json!({"name": "old", "image": "cuda"});
    let bad = set(privileged, "/name", json!("bad"));
    let answer = world().admit_body(&debug(TENANT, &[old.clone(), bad.clone()], &plain));
    assert_eq!(
        (answer.outcome, answer.pending_admission),
        (AdmissionOutcome::Rewritten, None)
    );
    let hidden = set(plain.clone(), "/env", json!([variable("void")]));
    assert_eq!(answer.pod["spec"]["ephemeralContainers"], json!([hidden, old, bad]));
    assert_eq!(
        answer.pod["spec"]["containers"],
        two()["spec"]["containers"],
        "nothing else can be changed any more"
    );
    let again = world().admit_body(&debug(TENANT, &[old, bad], &hidden));
    assert_eq!((again.outcome, again.patched), (AdmissionOutcome::Skipped, false));
}

#[test]
fn updates_are_checked_for_what_they_can_bring() {
    let inject = |value: &str| {
        set(
            two(),
            "/metadata/annotations",
            json!({"nvidia.cdi.k8s.io/pod": value, "a": "b"}),
        )
    };
    let answer = world().admit_body(&update(TENANT, "", &two(), &inject("nvidia.com/gpu=0")));
    assert_eq!(blamed(&answer).0, "metadata.annotations[nvidia.cdi.k8s.io/pod]");
    let answer = world().admit_body(&update(TENANT, "", &inject("x"), &inject("nvidia.com/gpu=0")));
    assert_eq!(answer.outcome, AdmissionOutcome::Denied);
    // What is there already holds up nobody: a label, a status, the end of a pod from before its policy.
    let before = set(inject("x"), "/spec/hostIPC", json!(true));
    let labelled = set(before.clone(), "/metadata/labels", json!({"a": "b"}));
    for (namespace, subresource, before, now) in [
        (TENANT, "", &before, &labelled),
        (TENANT, "", &two(), &two()),
        (TENANT, "resize", &two(), &inject("x")),
        ("training", "", &two(), &inject("x")),
        ("unseen", "", &before, &labelled),
    ] {
        let answer = world().admit_body(&update(namespace, subresource, before, now));
        assert_eq!(
            (answer.outcome, answer.patched),
            (AdmissionOutcome::Skipped, false),
            "{namespace} {subresource}"
        );
    }
}
