//! `sharesPerGPU`.

use apportion_testing::{Naming, Node, a100, set};
use serde_json::json;

use super::{Row, check, running, share, shares, times};
use crate::fixtures::pod;

#[test]
fn a_node_is_full_at_the_strictest_shares_per_gpu() {
    let two_containers = json!({"metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "a", "resources": {"limits": {"nvidia.com/gpu.shared": 1}}},
        {"name": "b", "resources": {"limits": {"nvidia.com/gpu.shared": 1}}}]}});
    let finished = set(running(share(), "two"), "/status/phase", "Succeeded");
    let terminating = set(
        running(share(), "two"),
        "/metadata/deletionTimestamp",
        json!("2026-01-01T00:00:00Z"),
    );
    let waiting = set(share(), "/metadata/namespace", json!("two"));
    let not_renamed = || Node::shared("Tesla-T4", (4, 4), 15360, "time-slicing", Naming::Same).named("n");
    let gpu = || pod(&[("gpu", "1")]);
    let full = "8 of 8 shares of 4 GPUs taken, 1 needed";
    check(vec![
        Row {
            name: "a share below the limit fits",
            running: vec![shares(7, "two")],
            namespace: "two",
            ..Row::default()
        },
        Row {
            name: "no share fits at the limit, although half of the replicas are free",
            running: vec![shares(8, "two")],
            namespace: "two",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "no share fits above the limit, as after a policy change",
            running: vec![shares(9, "two")],
            namespace: "two",
            expected: "9 of 8 shares of 4 GPUs taken, 1 needed",
            ..Row::default()
        },
        Row {
            name: "shares of other namespaces count",
            running: vec![shares(8, "free")],
            namespace: "two",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "the limit of a neighbor applies to a pod without limits",
            running: vec![shares(1, "two"), shares(7, "free")],
            namespace: "free",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "the limit of a neighbor applies to an ungoverned pod",
            running: vec![shares(1, "two"), shares(7, "guest")],
            namespace: "guest",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "the limit of a neighbor applies to a pod in kube-system",
            running: vec![shares(8, "two")],
            namespace: "kube-system",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "the stricter of two limits applies: the neighbor's",
            running: vec![shares(8, "two")],
            namespace: "three",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "the stricter of two limits applies: the pod's own",
            running: vec![shares(8, "three")],
            namespace: "two",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "a looser limit alone allows more",
            running: vec![shares(8, "three")],
            namespace: "three",
            ..Row::default()
        },
        Row {
            name: "replicas count where no pod has limits",
            running: vec![shares(15, "free")],
            namespace: "free",
            ..Row::default()
        },
        Row {
            name: "the node is full when all replicas are taken",
            running: vec![shares(16, "free")],
            namespace: "free",
            expected: "0 of 16 gpu.shared free",
            ..Row::default()
        },
        Row {
            name: "an ungoverned pod next to pods without limits is left to Kubernetes",
            running: vec![shares(16, "free")],
            namespace: "guest",
            ..Row::default()
        },
        Row {
            name: "the limits of a policy in mode Warn do not protect its pods",
            running: vec![shares(8, "watch")],
            namespace: "free",
            ..Row::default()
        },
        Row {
            name: "the limits of a policy in mode Warn do not apply to its pods",
            running: vec![shares(8, "free")],
            namespace: "watch",
            ..Row::default()
        },
        Row {
            name: "the limits of neighbors apply to a pod under mode Warn",
            running: vec![shares(8, "two")],
            namespace: "watch",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "a pod that requests two shares needs two",
            running: vec![shares(7, "two")],
            namespace: "two",
            pod: two_containers.clone(),
            expected: "7 of 8 shares of 4 GPUs taken, 2 needed",
            ..Row::default()
        },
        Row {
            name: "a running pod with two shares counts as two",
            running: vec![times(4, &running(two_containers, "two"))],
            namespace: "two",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "a finished pod holds no shares",
            running: vec![shares(7, "two"), vec![finished]],
            namespace: "two",
            ..Row::default()
        },
        Row {
            name: "a terminating pod holds its shares",
            running: vec![shares(7, "two"), vec![terminating]],
            namespace: "two",
            expected: full,
            ..Row::default()
        },
        Row {
            name: "a waiting pod holds no shares",
            running: vec![shares(7, "two"), vec![waiting]],
            namespace: "two",
            ..Row::default()
        },
        Row {
            name: "shares under nvidia.com/gpu are limited too",
            node: not_renamed(),
            running: vec![times(8, &running(gpu(), "two"))],
            namespace: "two",
            pod: gpu(),
            expected: full,
        },
        Row {
            name: "the message for one GPU is in the singular",
            node: Node::shared("Tesla-T4", (1, 4), 15360, "time-slicing", Naming::Renamed).named("n"),
            running: vec![shares(2, "two")],
            namespace: "two",
            expected: "2 of 2 shares of 1 GPU taken, 1 needed",
            ..Row::default()
        },
        Row {
            name: "a limit above the replicas has no effect",
            node: Node::shared("Tesla-T4", (1, 2), 15360, "time-slicing", Naming::Renamed).named("n"),
            running: vec![shares(1, "three")],
            namespace: "three",
            ..Row::default()
        },
        Row {
            name: "whole GPUs have no shares to limit",
            node: a100().named("n"),
            running: vec![times(7, &running(gpu(), "two"))],
            namespace: "free",
            pod: gpu(),
            ..Row::default()
        },
    ]);
}
