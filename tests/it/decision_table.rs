//! What the webhook decides under the shipped policies.

use apportion_testing::{Naming, Node, a100, a100_mig_mixed, a100_mig_single, t4, t4_renamed, v100};
use serde_json::Value;

use super::fixtures::{World, pod};
use super::rows::{WHOLE, declaring_memory, describe, gpu, pod_on, with_node_selector};

/// A pod, the cluster it comes to, and the decision.
struct Row {
    name: &'static str,
    policy: &'static str,
    nodes: Vec<Node>,
    /// Pods in the cluster; those without a node wait.
    others: Vec<Value>,
    pod: Value,
    /// See [`describe`].
    expected: String,
}

/// A pod that requests one GPU in an empty cluster.
impl Default for Row {
    fn default() -> Self {
        Row {
            name: "",
            policy: "",
            nodes: Vec::new(),
            others: Vec::new(),
            pod: gpu("1"),
            expected: String::new(),
        }
    }
}

#[test]
fn the_shipped_policies_choose_the_documented_strategy() {
    let whole = |ask: &str| format!("{ask} | {WHOLE}");
    let a30 = || Node::mig_mixed("NVIDIA-A30", "1g.6gb", 4, 5952).named("a30");
    let wide = || a100_mig_mixed().with_mig("NVIDIA-A100-SXM4-80GB", "2g.20gb", 3, 19968);
    let plain_slice = "c: gpu 1 | gpu.sharing-strategy In time-slicing";
    let slice = "c: gpu.shared 1 | gpu.sharing-strategy In time-slicing";
    let ten = "c: mig-1g.10gb 1 | mig-1g.10gb.sharing-strategy NotIn time-slicing";
    let on_a100 = format!("{ten} & mig-1g.10gb.product In NVIDIA-A100-SXM4-80GB-MIG-1g.10gb");
    let mps = |resource: &str, product: &str| {
        format!("c: {resource} 1 | gpu.sharing-strategy In mps & gpu.product In {product}")
    };
    let slices = || Node::mig_time_sliced("NVIDIA-A100-SXM4-80GB", "1g.10gb", (4, 2), Naming::Renamed);
    let full = || pod_on("a100-mixed", "mig-1g.10gb", "56");
    for row in [
        Row {
            name: "the first strategy with free shares is used: MIG on A100",
            policy: "inference",
            nodes: vec![a100_mig_mixed(), t4_renamed("mps")],
            expected: on_a100.clone(),
            ..Row::default()
        },
        Row {
            name: "the next strategy is used when all MIG devices are taken",
            policy: "inference",
            nodes: vec![a100_mig_mixed(), t4_renamed("mps")],
            others: vec![full()],
            expected: mps("gpu.shared", "Tesla-T4"),
            ..Row::default()
        },
        Row {
            name: "MPS is used when the cluster has T4 only",
            policy: "inference",
            nodes: vec![t4_renamed("mps")],
            expected: mps("gpu.shared", "Tesla-T4"),
            ..Row::default()
        },
        Row {
            name: "MPS is used when the cluster has V100 only, under nvidia.com/gpu if the plugin does not rename",
            policy: "inference",
            nodes: vec![v100()],
            expected: mps("gpu", "Tesla-V100-SXM2-16GB-SHARED"),
            ..Row::default()
        },
        Row {
            name: "the first strategy that exists is used when none is free",
            policy: "inference",
            nodes: vec![a100_mig_mixed(), a100()],
            others: vec![full()],
            expected: on_a100.clone(),
            ..Row::default()
        },
        Row {
            name: "the first strategy of the policy is used when none exists",
            policy: "inference",
            nodes: vec![a100()],
            expected: ten.into(),
            ..Row::default()
        },
        Row {
            name: "the request of a waiting pod counts as taken",
            policy: "inference",
            nodes: vec![a100_mig_mixed(), t4_renamed("mps")],
            others: vec![pod_on("a100-mixed", "mig-1g.10gb", "55"), pod(&[("mig-1g.10gb", "1")])],
            expected: mps("gpu.shared", "Tesla-T4"),
            ..Row::default()
        },
        Row {
            name: "only listed strategies are used: a tenant waits when there is no MIG node",
            policy: "multi-tenant",
            nodes: vec![a100(), t4_renamed("mps"), t4("time-slicing")],
            expected: ten.into(),
            ..Row::default()
        },
        Row {
            name: "only listed strategies are used, even when the cluster is empty",
            policy: "multi-tenant",
            expected: ten.into(),
            ..Row::default()
        },
        Row {
            name: "whole GPUs keep their count; affinity excludes shared GPUs and MIG single",
            policy: "training",
            nodes: vec![a100()],
            pod: gpu("8"),
            expected: whole("c: gpu 8"),
            ..Row::default()
        },
        Row {
            name: "shares become whole GPUs",
            policy: "training",
            nodes: vec![a100()],
            pod: pod(&[("gpu.shared", "4")]),
            expected: whole("c: gpu 4"),
            ..Row::default()
        },
        Row {
            name: "MIG devices become the GPUs that would hold them: eight 1g need two, with seven on each",
            policy: "training",
            nodes: vec![a100()],
            pod: pod(&[("mig-1g.10gb", "8")]),
            expected: whole("c: gpu 2"),
            ..Row::default()
        },
        Row {
            name: "placement decides, not the sum of slices: three 3g need two GPUs",
            policy: "training",
            nodes: vec![a100()],
            pod: pod(&[("mig-3g.40gb", "3")]),
            expected: whole("c: gpu 2"),
            ..Row::default()
        },
        Row {
            name: "the smallest allowed profile that holds the declared memory is used",
            policy: "multi-tenant",
            nodes: vec![wide()],
            pod: declaring_memory(gpu("1"), "15Gi"),
            expected: format!("{} & mig-2g.20gb.memory Gt 15359", ten.replace("1g.10gb", "2g.20gb")),
            ..Row::default()
        },
        Row {
            name: "a device has less memory than its name says: 1g.10gb does not hold 10Gi",
            policy: "multi-tenant",
            nodes: vec![wide()],
            pod: declaring_memory(gpu("1"), "10Gi"),
            expected: format!("{} & mig-2g.20gb.memory Gt 10239", ten.replace("1g.10gb", "2g.20gb")),
            ..Row::default()
        },
        Row {
            name: "each requested GPU becomes one device",
            policy: "multi-tenant",
            nodes: vec![a100_mig_mixed()],
            pod: gpu("2"),
            expected: ten.replace("b 1 |", "b 2 |"),
            ..Row::default()
        },
        Row {
            name: "an explicit, allowed profile stays",
            policy: "multi-tenant",
            nodes: vec![a100_mig_mixed()],
            pod: pod(&[("mig-2g.20gb", "1")]),
            expected: ten.replace("1g.10gb", "2g.20gb"),
            ..Row::default()
        },
        Row {
            name: "a profile below the allowed ones grows",
            policy: "multi-tenant",
            nodes: vec![a100_mig_mixed()],
            pod: pod(&[("mig-1g.5gb", "1")]),
            expected: ten.into(),
            ..Row::default()
        },
        Row {
            name: "an allowed profile is used even if no node has it: A30 has no 1g.10gb, and 1g.6gb is not allowed",
            policy: "multi-tenant",
            nodes: vec![a30()],
            expected: ten.into(),
            ..Row::default()
        },
        Row {
            name: "MIG single: nvidia.com/gpu, and affinity for the product",
            policy: "multi-tenant",
            nodes: vec![a100_mig_single()],
            expected: "c: gpu 1 | gpu.sharing-strategy In none & gpu.product In NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"
                .into(),
            ..Row::default()
        },
        Row {
            name: "a time slice is .shared when the plugin renames",
            policy: "development",
            nodes: vec![t4_renamed("time-slicing")],
            expected: slice.into(),
            ..Row::default()
        },
        Row {
            name: "a time slice is nvidia.com/gpu with affinity when the plugin does not rename",
            policy: "development",
            nodes: vec![t4("time-slicing")],
            expected: plain_slice.into(),
            ..Row::default()
        },
        Row {
            name: "each container gets one time slice, whatever it requests",
            policy: "development",
            nodes: vec![t4_renamed("time-slicing")],
            pod: gpu("4"),
            expected: slice.into(),
            ..Row::default()
        },
        Row {
            name: "a time slice of a MIG device stays when requested by name",
            policy: "development",
            nodes: vec![t4_renamed("time-slicing"), slices()],
            pod: pod(&[("mig-1g.10gb.shared", "2")]),
            expected: "c: mig-1g.10gb.shared 1".into(),
            ..Row::default()
        },
        Row {
            name: "MPS and time-slicing share a resource name; affinity tells them apart",
            policy: "development",
            nodes: vec![t4_renamed("mps"), t4("time-slicing")],
            expected: plain_slice.into(),
            ..Row::default()
        },
        Row {
            name: "MPS is used for a pod that selects T4",
            policy: "inference",
            nodes: vec![a100_mig_mixed(), t4_renamed("mps")],
            pod: with_node_selector(gpu("1"), "nvidia.com/gpu.product", "Tesla-T4"),
            expected: "c: gpu.shared 1 | gpu.sharing-strategy In mps".into(),
            ..Row::default()
        },
        Row {
            name: "nvidia.com/gpu that LimitRanger adds next to a MIG device is removed",
            policy: "multi-tenant",
            nodes: vec![a100_mig_mixed()],
            pod: pod(&[("gpu", "1"), ("mig-1g.10gb", "1")]),
            expected: ten.into(),
            ..Row::default()
        },
        Row {
            name: "nvidia.com/gpu that LimitRanger adds next to a share is removed",
            policy: "development",
            nodes: vec![t4_renamed("time-slicing")],
            pod: pod(&[("gpu", "1"), ("gpu.shared", "1")]),
            expected: slice.into(),
            ..Row::default()
        },
        Row {
            name: "a resource with the value 0 is removed, because it makes the scheduler call the extender",
            policy: "training",
            nodes: vec![a100()],
            pod: pod(&[("gpu", "1"), ("mig-1g.10gb", "0")]),
            expected: whole("c: gpu 1"),
            ..Row::default()
        },
        Row {
            name: "the + of a profile is a . in its resource name",
            policy: "training",
            nodes: vec![a100()],
            pod: pod(&[("mig-1g.10gb.me", "1")]),
            expected: whole("c: gpu 1"),
            ..Row::default()
        },
    ] {
        let answer = World::shipped(&row.nodes, &row.others).admit(row.policy, &row.pod);
        assert_eq!(describe(&answer), row.expected, "{}", row.name);
    }
}
