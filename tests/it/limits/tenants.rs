//! `tenants: Apart`.

use apportion_testing::{Naming, Node, a100, a100_mig_mixed, a100_mig_single, set};
use serde_json::json;

use super::{Row, check, mps, running, share, shares, slices, times};
use crate::fixtures::pod;

#[test]
fn tenants_that_are_apart_share_no_gpu() {
    let device = || pod(&[("mig-1g.10gb", "1")]);
    let slice = || pod(&[("mig-1g.10gb.shared", "1")]);
    let sliced_mig = || Node::mig_time_sliced("NVIDIA-A100-SXM4-80GB", "1g.10gb", (7, 4), Naming::Renamed).named("n");
    let sliced_single = || {
        Node::shared(
            "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb",
            (7, 4),
            9728,
            "time-slicing",
            Naming::Renamed,
        )
        .label("nvidia.com/gpu.slices.gi", "1")
        .named("n")
    };
    // Time slices of whole GPUs, and MIG devices.
    let both = || slices().with_mig("NVIDIA-A100-SXM4-80GB", "1g.10gb", 7, 9728);
    let gpu = || pod(&[("gpu", "1")]);
    let labelled = set(share(), "/metadata/labels", json!({"team": "blue"}));
    let other_tenant = "GPUs shared with another tenant";
    check(vec![
        Row {
            name: "a share fits on an empty node",
            namespace: "alone",
            ..Row::default()
        },
        Row {
            name: "a share fits next to shares of the same tenant",
            running: vec![shares(3, "alone")],
            namespace: "alone",
            ..Row::default()
        },
        Row {
            name: "a share does not fit next to another tenant under the same policy",
            running: vec![shares(1, "alone2")],
            namespace: "alone",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "MPS shares keep tenants apart too",
            node: mps(),
            running: vec![shares(1, "alone2")],
            namespace: "alone",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "a share does not fit next to a tenant without limits",
            running: vec![shares(1, "free")],
            namespace: "alone",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "a share without limits does not fit next to a tenant that is apart",
            running: vec![shares(1, "alone")],
            namespace: "free",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "an ungoverned share does not fit next to a tenant that is apart",
            running: vec![shares(1, "alone")],
            namespace: "guest",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "a share does not fit next to an ungoverned one",
            running: vec![shares(1, "guest")],
            namespace: "alone",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "two tenants without limits may meet",
            running: vec![shares(1, "free")],
            namespace: "free2",
            ..Row::default()
        },
        Row {
            name: "a policy in mode Warn keeps no tenants apart",
            running: vec![shares(1, "watch")],
            namespace: "free",
            ..Row::default()
        },
        Row {
            name: "two namespaces with the same label value are one tenant",
            running: vec![shares(1, "blue1")],
            namespace: "blue2",
            ..Row::default()
        },
        Row {
            name: "another label value is another tenant",
            running: vec![shares(1, "red")],
            namespace: "blue2",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "an empty label value names no tenant",
            running: vec![shares(1, "teamless")],
            namespace: "blue1",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "a namespace is not the team of the same name",
            running: vec![shares(1, "teamless")],
            namespace: "named",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "a pod's own label does not name its tenant",
            running: vec![shares(1, "blue1")],
            namespace: "red",
            pod: labelled,
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "policies with different tenant labels have different tenants",
            running: vec![shares(1, "alone")],
            namespace: "blue1",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "MIG devices are exempt",
            node: a100_mig_mixed().named("n"),
            running: vec![times(1, &running(device(), "alone2"))],
            namespace: "alone",
            pod: device(),
            ..Row::default()
        },
        Row {
            name: "MIG devices under strategy single are exempt",
            node: a100_mig_single().named("n"),
            running: vec![times(1, &running(gpu(), "alone2"))],
            namespace: "alone",
            pod: gpu(),
            ..Row::default()
        },
        Row {
            name: "whole GPUs are exempt",
            node: a100().named("n"),
            running: vec![times(1, &running(gpu(), "alone2"))],
            namespace: "alone",
            pod: gpu(),
            ..Row::default()
        },
        Row {
            name: "time slices of MIG devices are not exempt",
            node: sliced_mig(),
            running: vec![times(1, &running(slice(), "free"))],
            namespace: "alone",
            pod: slice(),
            expected: other_tenant,
        },
        Row {
            name: "time slices of MIG devices under strategy single are not exempt",
            node: sliced_single(),
            running: vec![times(1, &running(share(), "free"))],
            namespace: "alone",
            expected: other_tenant,
            ..Row::default()
        },
        Row {
            name: "a MIG device fits next to shares of other tenants",
            node: both(),
            running: vec![shares(1, "free")],
            namespace: "alone",
            pod: device(),
            ..Row::default()
        },
        Row {
            name: "a share fits next to MIG devices of other tenants",
            node: both(),
            running: vec![times(1, &running(device(), "free"))],
            namespace: "alone",
            ..Row::default()
        },
    ]);
}
