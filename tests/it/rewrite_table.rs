//! How a pod is rewritten or turned away, row by row.

use apportion_core::admission::AdmissionOutcome;
use apportion_testing::{a100, a100_mig_mixed, set, t4_renamed};
use serde_json::json;

use super::fixtures::{World, pod, with_node_affinity};
use super::oracle::containers;
use super::rows::{WHOLE, declaring_memory, describe, gpu, pod_of, with_node_selector};

#[test]
fn quantities_in_every_legal_form() {
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
            "B.1 {written}"
        );
        let list = json!({"nvidia.com/gpu": written});
        let pod = set(gpu("1"), "/spec/containers/0/resources", json!({"limits": list}));
        let answer = world.admit("training", &pod);
        let kept = &answer.pod["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(*kept, list, "the user's own spelling stays");
    }
}

#[test]
fn denials_say_the_field_the_reason_and_the_remedy() {
    let memory = "metadata.annotations[apportion.dev/gpu-memory]";
    for (rule, policy, pod, expected) in [
        ("3 never two profiles in one container", "multi-tenant", pod(&[("mig-1g.10gb", "1"), ("mig-2g.20gb", "1")]), "spec.containers[0].resources.limits: asks for the MIG profiles 1g.10gb and 2g.20gb in one container, which sees only one of them; ask for one profile, or split the container".to_owned()),
        ("3 a profile beyond what is allowed", "multi-tenant", pod(&[("mig-7g.80gb", "1")]), "spec.containers[0].resources.limits: asks for MIG profile 7g.80gb, more than the policy allows; ask for one of 1g.10gb, 2g.10gb, 1g.12gb, 2g.12gb, 1g.18gb, 2g.20gb, 1g.23gb, 1g.24gb, 2g.24gb, 1g.34gb, 1g.35gb, 2g.35gb, 3g.40gb".to_owned()),
        ("3 more memory than any allowed profile has", "multi-tenant", declaring_memory(gpu("1"), "1Ti"), format!("{memory}: no MIG profile that the policy allows has 1024Gi of memory; it allows 1g.10gb, 2g.10gb, 1g.12gb, 2g.12gb, 1g.18gb, 2g.20gb, 1g.23gb, 1g.24gb, 2g.24gb, 1g.34gb, 1g.35gb, 2g.35gb, 3g.40gb; declare less, or ask for a policy that allows more")),
        ("3 an asked profile with less memory than is declared", "multi-tenant", declaring_memory(pod(&[("mig-1g.10gb", "1")]), "12Gi"), "spec.containers[0].resources.limits: asks for MIG profile 1g.10gb, which has 9728Mi of memory, while the pod declares 12Gi; ask for a larger profile, or for nvidia.com/gpu and let the policy choose".to_owned()),
        ("6 a contradiction: tenants on a product without MIG", "multi-tenant", with_node_selector(gpu("1"), "nvidia.com/gpu.product", "Tesla-T4"), "the pod's node selection: nvidia.com/gpu.product=Tesla-T4 rules out every node with nvidia.com/mig-1g.10gb (mig); remove it, or move the pod to a namespace whose policy allows what it selects".to_owned()),
        ("6 a contradiction: training on shares", "training", with_node_selector(gpu("1"), "nvidia.com/gpu.sharing-strategy", "mps"), "spec.nodeSelector: nvidia.com/gpu.sharing-strategy=mps rules out every node with nvidia.com/gpu (exclusive); remove it, or move the pod to a namespace whose policy allows what it selects".to_owned()),
        ("C half a device", "training", gpu("0.5"), "spec.containers[0].resources.limits[nvidia.com/gpu]: `0.5` must be a whole number that is not negative; correct it".to_owned()),
        ("C less than none", "training", gpu("-1"), "spec.containers[0].resources.limits[nvidia.com/gpu]: `-1` must be a whole number that is not negative; correct it".to_owned()),
        ("C a request that is not the limit", "training", set(gpu("2"), "/spec/containers/0/resources/requests", json!({"nvidia.com/gpu": "1"})), "spec.containers[0].resources.requests[nvidia.com/gpu]: asks for 1 while the limit is 2; devices need equal requests and limits; correct it".to_owned()),
        ("D.2 a compute instance has no resource", "multi-tenant", pod(&[("mig-1c.3g.20gb", "1")]), "spec.containers[0].resources.limits[nvidia.com/mig-1c.3g.20gb]: `nvidia.com/mig-1c.3g.20gb` names no MIG profile: `1c.3g.20gb` is not a MIG profile; write one as NVIDIA does, such as 1g.10gb or 1g.10gb+me; correct it".to_owned()),
        ("memory that is no quantity", "multi-tenant", declaring_memory(gpu("1"), "much"), format!("{memory}: `much` is not a quantity; write a number with an optional suffix, such as 1, 500m, 8Gi or 2e3; correct it")),
        ("neither name nor prefix", "training", set(gpu("1"), "/metadata", json!({})), "metadata.name: is missing; set metadata.name or metadata.generateName".to_owned()),
    ] {
        let answer = World::shipped(&[a100(), a100_mig_mixed()], &[]).admit(policy, &pod);
        assert_eq!(describe(&answer), format!("403 apportion ({policy}): {expected}"), "{rule}");
        assert_eq!((answer.outcome, answer.patched), (AdmissionOutcome::Denied, false), "{rule}");
    }
}

#[test]
fn the_user_is_told_why() {
    let world = World::shipped(&[t4_renamed("time-slicing")], &[]);
    let slices = "apportion (development): nvidia.com/gpu 4 -> nvidia.com/gpu.shared 1: time-slicing; more shares give no more compute";
    assert_eq!(world.admit("development", &gpu("4")).warnings, [slices]);
    assert_eq!(
        world.admit("development", &gpu("1")).warnings,
        ["apportion (development): nvidia.com/gpu 1 -> nvidia.com/gpu.shared 1: time-slicing"]
    );
    // A strategy that is nowhere comes with a warning that the pod waits.
    assert_eq!(
        world.admit("multi-tenant", &gpu("1")).warnings,
        [
            "apportion (multi-tenant): nvidia.com/gpu 1 -> nvidia.com/mig-1g.10gb 1: a hardware partition of its own",
            "apportion (multi-tenant): no node that the pod may run on offers nvidia.com/mig-1g.10gb (mig); the pod waits for one",
        ]
    );
}

#[test]
fn every_container_is_rewritten() {
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
        assert_eq!(describe(&answer), expected, "5 containers, init containers and sidecars");
        for (.., container) in containers(&answer.pod) {
            assert_eq!(container["resources"]["limits"], container["resources"]["requests"], "5 and B.1 both lists");
        }
    }
}

#[test]
fn constraints_of_the_pod_are_kept_and_added_to() {
    let world = World::shipped(&[a100()], &[]);
    let zone = |zone: &str| json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]});
    let both = |zone: &str| format!("zone In {zone} & {WHOLE}");
    for (rule, terms, expected) in [
        (
            "6 every alternative is narrowed",
            json!([zone("a"), zone("b")]),
            format!("{} or {}", both("a"), both("b")),
        ),
        (
            "6 one without any expression matches no node, and stays so",
            json!([zone("a"), {}]),
            format!("{} or ", both("a")),
        ),
        (
            "6 names of nodes are alternatives too",
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]),
            WHOLE.to_owned(),
        ),
    ] {
        let answer = world.admit("training", &with_node_affinity(gpu("1"), terms));
        assert_eq!(describe(&answer), format!("c: gpu 1 | {expected}"), "{rule}");
    }
    let nowhere = world.admit("training", &with_node_affinity(gpu("1"), json!([{}])));
    assert_eq!(
        nowhere.outcome,
        AdmissionOutcome::Denied,
        "6 a pod that matches no node contradicts everything"
    );
}
