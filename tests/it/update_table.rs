//! Isolation of running pods: ephemeral containers and annotations that an update adds.

use apportion_core::admission::AdmissionOutcome;
use apportion_testing::set;
use serde_json::{Value, json};

use super::fixtures::review;
use super::isolation_table::{TENANT, field_and_fix, two_containers, visible_devices, world};

/// The review of an update that adds an ephemeral container to those of a running pod.
pub fn debug(namespace: &str, existing: &[Value], added: &Value) -> Value {
    let before = set(two_containers(), "/spec/ephemeralContainers", json!(existing));
    // The new one first: a patch does not keep the order.
    let now = set(
        two_containers(),
        "/spec/ephemeralContainers",
        json!([std::slice::from_ref(added), existing].concat()),
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
fn ephemeral_containers_are_checked_and_hide_gpus() {
    let plain = json!({"name": "debugger", "image": "cuda"});
    let privileged = set(plain.clone(), "/securityContext", json!({"privileged": true}));
    for (name, added, field) in [
        (
            "a variable",
            set(plain.clone(), "/env", json!([visible_devices("all")])),
            "spec.ephemeralContainers[0].env[0]",
        ),
        (
            "privileged",
            privileged.clone(),
            "spec.ephemeralContainers[0].securityContext.privileged",
        ),
        (
            "a mount path that the NVIDIA runtime reads",
            set(
                plain.clone(),
                "/volumeMounts",
                json!([{"name": "n", "mountPath": "/var/run/nvidia-container-devices/0"}]),
            ),
            "spec.ephemeralContainers[0].volumeMounts[0].mountPath",
        ),
    ] {
        let body = debug(TENANT, &[], &added);
        assert_eq!(field_and_fix(&world().admit_body(&body)).0, field, "{name}");
        let elsewhere = world().admit_body(&debug("training", &[], &added));
        assert_eq!(
            (elsewhere.outcome, elsewhere.patched),
            (AdmissionOutcome::Skipped, false),
            "{name}: a policy without isolation"
        );
    }
    // A container without the variable gets it. Existing ephemeral containers cannot be changed, so
    // they stay.
    let old = json!({"name": "old", "image": "cuda"});
    let bad = set(privileged, "/name", json!("bad"));
    let answer = world().admit_body(&debug(TENANT, &[old.clone(), bad.clone()], &plain));
    assert_eq!(
        (answer.outcome, answer.pending_admission),
        (AdmissionOutcome::Rewritten, None)
    );
    let hidden = set(plain.clone(), "/env", json!([visible_devices("void")]));
    assert_eq!(answer.pod["spec"]["ephemeralContainers"], json!([hidden, old, bad]));
    assert_eq!(
        answer.pod["spec"]["containers"],
        two_containers()["spec"]["containers"],
        "an update cannot change other containers"
    );
    let again = world().admit_body(&debug(TENANT, &[old, bad], &hidden));
    assert_eq!((again.outcome, again.patched), (AdmissionOutcome::Skipped, false));
}

#[test]
fn updates_are_checked_for_the_annotations_that_they_add() {
    let inject = |value: &str| {
        set(
            two_containers(),
            "/metadata/annotations",
            json!({"nvidia.cdi.k8s.io/pod": value, "a": "b"}),
        )
    };
    let answer = world().admit_body(&update(TENANT, "", &two_containers(), &inject("nvidia.com/gpu=0")));
    assert_eq!(field_and_fix(&answer).0, "metadata.annotations[nvidia.cdi.k8s.io/pod]");
    let answer = world().admit_body(&update(TENANT, "", &inject("x"), &inject("nvidia.com/gpu=0")));
    assert_eq!(answer.outcome, AdmissionOutcome::Denied);
    // Findings that the pod had before do not block updates of a pod that is older than its policy.
    let before = set(inject("x"), "/spec/hostIPC", json!(true));
    let labelled = set(before.clone(), "/metadata/labels", json!({"a": "b"}));
    for (namespace, subresource, before, now) in [
        (TENANT, "", &before, &labelled),
        (TENANT, "", &two_containers(), &two_containers()),
        (TENANT, "resize", &two_containers(), &inject("x")),
        ("training", "", &two_containers(), &inject("x")),
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
