//! What the webhook decides under the policies that ship, row by row: the rules of the design, and the traps of Kubernetes and NVIDIA
//! that they rest on. The number is the rule's, the letter the trap's section.

use super::fixtures::{Node, World, a100, a100_mixed, a100_single, pod, t4};
use super::rows::{WHOLE, declaring, gpu, selecting, show, taken, v100};

#[test]
fn the_shipped_policies() {
    let whole = |ask: &str| format!("{ask} | {WHOLE}");
    let a30 = || Node::mixed("NVIDIA-A30", "1g.6gb", 4, 5952).named("a30");
    let wide = || a100_mixed().with_mig("NVIDIA-A100-SXM4-80GB", "2g.20gb", 3, 19968);
    let plain_slice = "c: gpu 1 | gpu.sharing-strategy In time-slicing";
    let slice = "c: gpu.shared 1 | gpu.sharing-strategy In time-slicing";
    let ten = "c: mig-1g.10gb 1 | mig-1g.10gb.sharing-strategy NotIn time-slicing";
    let on_a100 = format!("{ten} & mig-1g.10gb.product In NVIDIA-A100-SXM4-80GB-MIG-1g.10gb");
    let mps = |resource: &str, product: &str| {
        format!("c: {resource} 1 | gpu.sharing-strategy In mps & gpu.product In {product}")
    };
    let slices = || Node::mixed_in_slices("NVIDIA-A100-SXM4-80GB", "1g.10gb", (4, 2), true);
    let full = || taken("a100-mixed", "mig-1g.10gb", "56");
    for (rule, policy, nodes, others, pod, expected) in [
        (
            "1 the first strategy with free shares: MIG where A100-class MIG is free",
            "inference",
            vec![a100_mixed(), t4("mps", true)],
            vec![],
            gpu("1"),
            on_a100.clone(),
        ),
        (
            "1 the next strategy where all of the first is taken",
            "inference",
            vec![a100_mixed(), t4("mps", true)],
            vec![full()],
            gpu("1"),
            mps("gpu.shared", "Tesla-T4"),
        ),
        (
            "1 MPS where only T4 is",
            "inference",
            vec![t4("mps", true)],
            vec![],
            gpu("1"),
            mps("gpu.shared", "Tesla-T4"),
        ),
        (
            "1 MPS where only V100 is, and the plugin does not rename",
            "inference",
            vec![v100()],
            vec![],
            gpu("1"),
            mps("gpu", "Tesla-V100-SXM2-16GB-SHARED"),
        ),
        (
            "1 none is free: the first that exists",
            "inference",
            vec![a100_mixed(), a100()],
            vec![full()],
            gpu("1"),
            on_a100.clone(),
        ),
        (
            "1 none exists: the first of the policy",
            "inference",
            vec![a100()],
            vec![],
            gpu("1"),
            ten.to_owned(),
        ),
        (
            "1 what a waiting pod asks for counts as taken",
            "inference",
            vec![a100_mixed(), t4("mps", true)],
            vec![taken("a100-mixed", "mig-1g.10gb", "55"), pod(&[("mig-1g.10gb", "1")])],
            gpu("1"),
            mps("gpu.shared", "Tesla-T4"),
        ),
        (
            "1 never a strategy that is not listed: a tenant waits, also where no MIG node is",
            "multi-tenant",
            vec![a100(), t4("mps", true), t4("time-slicing", false)],
            vec![],
            gpu("1"),
            ten.to_owned(),
        ),
        (
            "1 nor where the cluster is empty",
            "multi-tenant",
            vec![],
            vec![],
            gpu("1"),
            ten.to_owned(),
        ),
        (
            "2 whole GPUs keep their count, off shared nodes and MIG single by affinity",
            "training",
            vec![a100()],
            vec![],
            gpu("8"),
            whole("c: gpu 8"),
        ),
        (
            "2 shares become whole GPUs",
            "training",
            vec![a100()],
            vec![],
            pod(&[("gpu.shared", "4")]),
            whole("c: gpu 4"),
        ),
        (
            "2 slices become the GPUs that would hold them: eight 1g of seven each",
            "training",
            vec![a100()],
            vec![],
            pod(&[("mig-1g.10gb", "8")]),
            whole("c: gpu 2"),
        ),
        (
            "2 adding up compute slices is not enough: 3g + 3g + 3g take two GPUs",
            "training",
            vec![a100()],
            vec![],
            pod(&[("mig-3g.40gb", "3")]),
            whole("c: gpu 2"),
        ),
        (
            "3 the smallest allowed profile that holds the declared memory",
            "multi-tenant",
            vec![wide()],
            vec![],
            declaring(gpu("1"), "15Gi"),
            format!("{} & mig-2g.20gb.memory Gt 15359", ten.replace("1g.10gb", "2g.20gb")),
        ),
        (
            "3 a device has less memory than its name says: 1g.10gb does not hold 10Gi",
            "multi-tenant",
            vec![wide()],
            vec![],
            declaring(gpu("1"), "10Gi"),
            format!("{} & mig-2g.20gb.memory Gt 10239", ten.replace("1g.10gb", "2g.20gb")),
        ),
        (
            "3 one for each GPU asked",
            "multi-tenant",
            vec![a100_mixed()],
            vec![],
            gpu("2"),
            ten.replace("b 1 |", "b 2 |"),
        ),
        (
            "3 an explicitly asked and allowed profile stays",
            "multi-tenant",
            vec![a100_mixed()],
            vec![],
            pod(&[("mig-2g.20gb", "1")]),
            ten.replace("1g.10gb", "2g.20gb"),
        ),
        (
            "3 a smaller one that is not allowed grows",
            "multi-tenant",
            vec![a100_mixed()],
            vec![],
            pod(&[("mig-1g.5gb", "1")]),
            ten.to_owned(),
        ),
        (
            "3 the profile that a node has: an A30 has no 1g.10gb, and no 1g.6gb is allowed",
            "multi-tenant",
            vec![a30()],
            vec![],
            gpu("1"),
            ten.to_owned(),
        ),
        (
            "3 MIG single: nvidia.com/gpu and the product",
            "multi-tenant",
            vec![a100_single()],
            vec![],
            gpu("1"),
            "c: gpu 1 | gpu.sharing-strategy In none & gpu.product In NVIDIA-A100-SXM4-80GB-MIG-1g.10gb".to_owned(),
        ),
        (
            "4 a share under .shared where the plugin renames",
            "development",
            vec![t4("time-slicing", true)],
            vec![],
            gpu("1"),
            slice.to_owned(),
        ),
        (
            "4 nvidia.com/gpu and a selector where it does not",
            "development",
            vec![t4("time-slicing", false)],
            vec![],
            gpu("1"),
            plain_slice.to_owned(),
        ),
        (
            "4 one share a container, whatever is asked",
            "development",
            vec![t4("time-slicing", true)],
            vec![],
            gpu("4"),
            slice.to_owned(),
        ),
        (
            "4 a slice of a MIG device that is asked for by name stays",
            "development",
            vec![t4("time-slicing", true), slices()],
            vec![],
            pod(&[("mig-1g.10gb.shared", "2")]),
            "c: mig-1g.10gb.shared 1".to_owned(),
        ),
        (
            "4 MPS and time-slicing have one resource name: labels tell them apart",
            "development",
            vec![t4("mps", true), t4("time-slicing", false)],
            vec![],
            gpu("1"),
            plain_slice.to_owned(),
        ),
        (
            "6 a pinned T4 leaves MPS",
            "inference",
            vec![a100_mixed(), t4("mps", true)],
            vec![],
            selecting(gpu("1"), "nvidia.com/gpu.product", "Tesla-T4"),
            "c: gpu.shared 1 | gpu.sharing-strategy In mps".to_owned(),
        ),
        (
            "B.4 LimitRanger put nvidia.com/gpu back beside our resource",
            "multi-tenant",
            vec![a100_mixed()],
            vec![],
            pod(&[("gpu", "1"), ("mig-1g.10gb", "1")]),
            ten.to_owned(),
        ),
        (
            "B.4 and beside a share",
            "development",
            vec![t4("time-slicing", true)],
            vec![],
            pod(&[("gpu", "1"), ("gpu.shared", "1")]),
            slice.to_owned(),
        ),
        (
            "A.4 a key with the value 0 goes, since an extender is asked for it",
            "training",
            vec![a100()],
            vec![],
            pod(&[("gpu", "1"), ("mig-1g.10gb", "0")]),
            whole("c: gpu 1"),
        ),
        (
            "D.2 + in a profile is . in a resource name",
            "training",
            vec![a100()],
            vec![],
            pod(&[("mig-1g.10gb.me", "1")]),
            whole("c: gpu 1"),
        ),
    ] {
        let answer = World::shipped(&nodes, &others).admit(policy, &pod);
        assert_eq!(show(&answer), expected, "{rule}");
    }
}
