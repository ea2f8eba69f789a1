//! How pods are rewritten or denied.

use apportion_core::admission::AdmissionOutcome;
use apportion_testing::{a100, a100_mig_mixed, set, t4_renamed};
use serde_json::{Value, json};

use super::fixtures::{World, pod, with_node_affinity};
use super::oracle::containers;
use super::rows::{WHOLE, declaring_memory, describe, gpu, pod_of, with_node_selector};

#[test]
fn quantities_are_read_in_every_form_of_kubernetes() {
    let world = World::shipped(&[a100()], &[]);
    for (written, count) in [
        (json!("2"), 2),
        (json!(2), 2),
        (json!("1k"), 1000),
        (json!("2000m"), 2),
        (json!("1e1"), 10),
        (json!("2.0"), 2),
        (json!("1Ki"), 1024),
    ] {
        let list = json!({"nvidia.com/mig-7g.80gb": written});
        let pod = set(
            gpu("1"),
            "/spec/containers/0/resources",
            json!({"limits": list, "requests": list}),
        );
        assert_eq!(
            describe(&world.admit("training", &pod)),
            format!("c: gpu {count} | {WHOLE}"),
            "{written}"
        );
        let list = json!({"nvidia.com/gpu": written});
        let pod = set(gpu("1"), "/spec/containers/0/resources", json!({"limits": list}));
        let answer = world.admit("training", &pod);
        let kept = &answer.pod["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(*kept, list, "a value that does not change keeps its spelling");
    }
}

/// A pod and the message that denies it.
struct Denial {
    name: &'static str,
    policy: &'static str,
    pod: Value,
    /// The message without `apportion (policy): `.
    message: String,
}

/// A training pod that requests one GPU.
impl Default for Denial {
    fn default() -> Self {
        Denial {
            name: "",
            policy: "training",
            pod: gpu("1"),
            message: String::new(),
        }
    }
}

#[test]
fn denials_name_field_reason_and_fix() {
    let memory = "metadata.annotations[apportion.dev/gpu-memory]";
    for row in [
        Denial {
            name: "two MIG profiles in one container",
            policy: "multi-tenant",
            pod: pod(&[("mig-1g.10gb", "1"), ("mig-2g.20gb", "1")]),
            message: "spec.containers[0].resources.limits: asks for the MIG profiles 1g.10gb and 2g.20gb in \
                     one container, which sees only one of them; ask for one profile, or split the container"
                .into(),
        },
        Denial {
            name: "a MIG profile above the allowed ones",
            policy: "multi-tenant",
            pod: pod(&[("mig-7g.80gb", "1")]),
            message: "spec.containers[0].resources.limits: asks for MIG profile 7g.80gb, more than the policy \
                     allows; ask for one of 1g.10gb, 2g.10gb, 1g.12gb, 2g.12gb, 1g.18gb, 2g.20gb, 1g.23gb, \
                     1g.24gb, 2g.24gb, 1g.34gb, 1g.35gb, 2g.35gb, 3g.40gb"
                .into(),
        },
        Denial {
            name: "more memory than any allowed profile has",
            policy: "multi-tenant",
            pod: declaring_memory(gpu("1"), "1Ti"),
            message: format!(
                "{memory}: no MIG profile that the policy allows has 1024Gi of memory; it allows 1g.10gb, \
                     2g.10gb, 1g.12gb, 2g.12gb, 1g.18gb, 2g.20gb, 1g.23gb, 1g.24gb, 2g.24gb, 1g.34gb, \
                     1g.35gb, 2g.35gb, 3g.40gb; declare less memory, or ask for a policy that allows larger profiles"
            ),
        },
        Denial {
            name: "a requested profile with less memory than declared",
            policy: "multi-tenant",
            pod: declaring_memory(pod(&[("mig-1g.10gb", "1")]), "12Gi"),
            message: "spec.containers[0].resources.limits: asks for MIG profile 1g.10gb, which has 9728Mi of \
                     memory, while the pod declares 12Gi; ask for a larger profile, or ask for \
                     nvidia.com/gpu and let the policy choose"
                .into(),
        },
        Denial {
            name: "a tenant that selects a product without MIG",
            policy: "multi-tenant",
            pod: with_node_selector(gpu("1"), "nvidia.com/gpu.product", "Tesla-T4"),
            message: "the pod's node selection: nvidia.com/gpu.product=Tesla-T4 rules out every node with \
                     nvidia.com/mig-1g.10gb (mig); remove it, or move the pod to a namespace whose policy \
                     allows what it selects"
                .into(),
        },
        Denial {
            name: "training that selects shares",
            pod: with_node_selector(gpu("1"), "nvidia.com/gpu.sharing-strategy", "mps"),
            message: "spec.nodeSelector: nvidia.com/gpu.sharing-strategy=mps rules out every node with \
                     nvidia.com/gpu (exclusive); remove it, or move the pod to a namespace whose policy \
                     allows what it selects"
                .into(),
            ..Denial::default()
        },
        Denial {
            name: "half a device",
            pod: gpu("0.5"),
            message: "spec.containers[0].resources.limits[nvidia.com/gpu]: `0.5` must be a whole number that \
                     is not negative; correct it"
                .into(),
            ..Denial::default()
        },
        Denial {
            name: "a negative count",
            pod: gpu("-1"),
            message: "spec.containers[0].resources.limits[nvidia.com/gpu]: `-1` must be a whole number that is \
                     not negative; correct it"
                .into(),
            ..Denial::default()
        },
        Denial {
            name: "a request that differs from the limit",
            pod: set(
                gpu("2"),
                "/spec/containers/0/resources/requests",
                json!({"nvidia.com/gpu": "1"}),
            ),
            message: "spec.containers[0].resources.requests[nvidia.com/gpu]: asks for 1 while the limit is 2; \
                     devices need equal requests and limits; correct it"
                .into(),
            ..Denial::default()
        },
        Denial {
            name: "a MIG compute instance, which has no resource",
            policy: "multi-tenant",
            pod: pod(&[("mig-1c.3g.20gb", "1")]),
            message: "spec.containers[0].resources.limits[nvidia.com/mig-1c.3g.20gb]: \
                     `nvidia.com/mig-1c.3g.20gb` names no MIG profile: `1c.3g.20gb` is not a MIG profile; \
                     write one as NVIDIA does, such as 1g.10gb or 1g.10gb+me; correct it"
                .into(),
        },
        Denial {
            name: "memory that is not a quantity",
            policy: "multi-tenant",
            pod: declaring_memory(gpu("1"), "much"),
            message: format!(
                "{memory}: `much` is not a quantity; write a number with an optional suffix, such as 1, \
                     500m, 8Gi or 2e3; correct it"
            ),
        },
        Denial {
            name: "neither name nor generateName",
            pod: set(gpu("1"), "/metadata", json!({})),
            message: "metadata.name: is missing; set metadata.name or metadata.generateName".into(),
            ..Denial::default()
        },
    ] {
        let answer = World::shipped(&[a100(), a100_mig_mixed()], &[]).admit(row.policy, &row.pod);
        let expected = format!("403 apportion ({}): {}", row.policy, row.message);
        assert_eq!(describe(&answer), expected, "{}", row.name);
        assert_eq!(
            (answer.outcome, answer.patched),
            (AdmissionOutcome::Denied, false),
            "{}",
            row.name
        );
    }
}

#[test]
fn warnings_explain_the_rewrite() {
    let world = World::shipped(&[t4_renamed("time-slicing")], &[]);
    let slices = "apportion (development): nvidia.com/gpu 4 -> nvidia.com/gpu.shared 1: time-slicing; more shares give no more compute";
    assert_eq!(world.admit("development", &gpu("4")).warnings, [slices]);
    assert_eq!(
        world.admit("development", &gpu("1")).warnings,
        ["apportion (development): nvidia.com/gpu 1 -> nvidia.com/gpu.shared 1: time-slicing"]
    );
    // If no node has the strategy, a second warning says that the pod waits.
    assert_eq!(
        world.admit("multi-tenant", &gpu("1")).warnings,
        [
            "apportion (multi-tenant): nvidia.com/gpu 1 -> nvidia.com/mig-1g.10gb 1: a hardware partition of its own",
            "apportion (multi-tenant): no node that the pod may run on offers nvidia.com/mig-1g.10gb (mig); the pod waits for one",
        ]
    );
}

#[test]
fn all_containers_init_containers_and_sidecars_are_rewritten() {
    let world = World::shipped(&[a100_mig_mixed(), t4_renamed("time-slicing")], &[]);
    let pod = pod_of(
        &[("warm", false, "gpu", "2"), ("side", true, "gpu", "1")],
        &[("a", "gpu.shared", "3"), ("b", "mig-1g.10gb", "1")],
    );
    for (policy, expected) in [
        ("training", format!("warm: gpu 2; side: gpu 1; a: gpu 3; b: gpu 1 | {WHOLE}")),
        ("multi-tenant", "warm: mig-1g.10gb 2; side: mig-1g.10gb 1; a: mig-1g.10gb 1; b: mig-1g.10gb 1 | mig-1g.10gb.sharing-strategy NotIn time-slicing".to_owned()),
        ("development", "warm: gpu.shared 1; side: gpu.shared 1; a: gpu.shared 1; b: gpu.shared 1 | gpu.sharing-strategy In time-slicing".to_owned()),
    ] {
        let answer = world.admit(policy, &pod);
        assert_eq!(describe(&answer), expected, "{policy}");
        for (.., container) in containers(&answer.pod) {
            assert_eq!(container["resources"]["limits"], container["resources"]["requests"], "limits equal requests");
        }
    }
}

#[test]
fn node_affinity_of_the_pod_is_kept_and_narrowed() {
    let world = World::shipped(&[a100()], &[]);
    let zone = |zone: &str| json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]});
    let both = |zone: &str| format!("zone In {zone} & {WHOLE}");
    for (name, terms, expected) in [
        (
            "every term is narrowed",
            json!([zone("a"), zone("b")]),
            format!("{} or {}", both("a"), both("b")),
        ),
        (
            "a term without expressions matches no node and stays",
            json!([zone("a"), {}]),
            format!("{} or ", both("a")),
        ),
        (
            "a term with matchFields only is narrowed",
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]),
            WHOLE.to_owned(),
        ),
    ] {
        let answer = world.admit("training", &with_node_affinity(gpu("1"), terms));
        assert_eq!(describe(&answer), format!("c: gpu 1 | {expected}"), "{name}");
    }
    let nowhere = world.admit("training", &with_node_affinity(gpu("1"), json!([{}])));
    assert_eq!(
        nowhere.outcome,
        AdmissionOutcome::Denied,
        "a pod that matches no node is denied"
    );
}
