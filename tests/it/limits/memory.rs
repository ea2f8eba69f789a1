//! `memory: Total` and `memory: PerGPU`.

use apportion_testing::{Naming, Node};

use super::{Row, check, mps, running, share, shares, shares_with_memory, slices, times};
use crate::fixtures::pod;
use crate::rows::declaring_memory;

#[test]
fn declared_memory_fits_the_gpus() {
    let of = |memory: &str| declaring_memory(share(), memory);
    let unlabelled = || slices().without_label("nvidia.com/gpu.memory");
    let slice = |memory: &str| declaring_memory(pod(&[("mig-1g.10gb.shared", "1")]), memory);
    let unlabelled_mig = || {
        Node::mig_time_sliced("NVIDIA-A100-SXM4-80GB", "1g.10gb", (2, 2), Naming::Renamed)
            .named("n")
            .without_label("nvidia.com/mig-1g.10gb.memory")
    };
    let two_shares = declaring_memory(pod(&[("gpu.shared", "2")]), "8Gi");
    let two = "shares that may meet on one GPU would declare 16Gi of its 15Gi";
    check(vec![
        Row {
            name: "one share cannot declare more than a GPU, even without limits",
            namespace: "free",
            pod: of("16Gi"),
            expected: "15Gi GPU memory a share, 16Gi needed",
            ..Row::default()
        },
        Row {
            name: "sums are not checked without a limit",
            running: vec![shares_with_memory(15, "15Gi", "free")],
            namespace: "free",
            pod: of("15Gi"),
            ..Row::default()
        },
        Row {
            name: "Total: the sum may equal the memory of all GPUs",
            running: vec![shares_with_memory(3, "15Gi", "total")],
            namespace: "total",
            pod: of("15Gi"),
            ..Row::default()
        },
        Row {
            name: "Total: the sum may not exceed the memory of all GPUs",
            running: vec![
                shares_with_memory(3, "15Gi", "total"),
                shares_with_memory(1, "1Gi", "total"),
            ],
            namespace: "total",
            pod: of("15Gi"),
            expected: "61Gi of 60Gi GPU memory would be declared",
            ..Row::default()
        },
        Row {
            name: "Total: an undeclared share counts as 0",
            running: vec![shares_with_memory(4, "15Gi", "total")],
            namespace: "total",
            ..Row::default()
        },
        Row {
            name: "Total: an undeclared share counts as undeclaredMemory",
            running: vec![shares(15, "total4")],
            namespace: "total4",
            expected: "64Gi of 60Gi GPU memory would be declared",
            ..Row::default()
        },
        Row {
            name: "Total: a declaration overrides undeclaredMemory",
            running: vec![shares(14, "total4")],
            namespace: "total4",
            pod: of("4Gi"),
            ..Row::default()
        },
        Row {
            name: "Total: undeclaredMemory applies to pods of its policy only",
            running: vec![shares(15, "free")],
            namespace: "total4",
            ..Row::default()
        },
        Row {
            name: "Total: the limit of a neighbor applies to a pod without limits",
            running: vec![
                shares_with_memory(1, "15Gi", "total"),
                shares_with_memory(3, "15Gi", "free"),
            ],
            namespace: "free",
            pod: of("1Gi"),
            expected: "61Gi of 60Gi GPU memory would be declared",
            ..Row::default()
        },
        Row {
            name: "Total: the limit of a neighbor applies to an ungoverned pod",
            running: vec![shares_with_memory(4, "15Gi", "total")],
            namespace: "guest",
            pod: of("1Gi"),
            expected: "61Gi of 60Gi GPU memory would be declared",
            ..Row::default()
        },
        Row {
            name: "Total: a policy in mode Warn has no limit",
            running: vec![shares_with_memory(4, "15Gi", "watch")],
            namespace: "watch",
            pod: of("1Gi"),
            ..Row::default()
        },
        Row {
            name: "Total: each share of a pod counts",
            running: vec![shares_with_memory(3, "15Gi", "total")],
            namespace: "total",
            pod: two_shares.clone(),
            expected: "61Gi of 60Gi GPU memory would be declared",
            ..Row::default()
        },
        Row {
            name: "Total: two shares that are too large for one GPU may still meet",
            running: vec![shares_with_memory(1, "8Gi", "total")],
            namespace: "total",
            pod: of("8Gi"),
            ..Row::default()
        },
        Row {
            name: "PerGPU: two shares that are too large for one GPU may not meet",
            running: vec![shares_with_memory(1, "8Gi", "pergpu")],
            namespace: "pergpu",
            pod: of("8Gi"),
            expected: two,
            ..Row::default()
        },
        Row {
            name: "PerGPU: nor may two shares of one pod",
            namespace: "pergpu",
            pod: two_shares,
            expected: two,
            ..Row::default()
        },
        Row {
            name: "PerGPU: as many shares as replicas may equal the GPU",
            running: vec![shares_with_memory(3, "3Gi", "pergpu")],
            namespace: "pergpu",
            pod: of("6Gi"),
            ..Row::default()
        },
        Row {
            name: "PerGPU: as many shares as replicas may not exceed the GPU",
            running: vec![shares_with_memory(3, "3Gi", "pergpu")],
            namespace: "pergpu",
            pod: of("7Gi"),
            expected: two,
            ..Row::default()
        },
        Row {
            name: "PerGPU: only as many shares as replicas are added up",
            running: vec![shares_with_memory(15, "3Gi", "pergpu")],
            namespace: "pergpu",
            pod: of("3Gi"),
            ..Row::default()
        },
        Row {
            name: "PerGPU: the limit of a neighbor applies to a pod without limits",
            running: vec![shares_with_memory(1, "8Gi", "pergpu")],
            namespace: "free",
            pod: of("8Gi"),
            expected: two,
            ..Row::default()
        },
        Row {
            name: "PerGPU: the limit of a neighbor applies to a pod under Total",
            running: vec![shares_with_memory(1, "8Gi", "pergpu")],
            namespace: "total",
            pod: of("8Gi"),
            expected: two,
            ..Row::default()
        },
        Row {
            name: "a declared share needs a node with known GPU memory",
            node: unlabelled(),
            namespace: "total",
            pod: of("4Gi"),
            expected: "GPU memory unknown, 4Gi needed",
            ..Row::default()
        },
        Row {
            name: "undeclaredMemory needs a node with known GPU memory",
            node: unlabelled(),
            namespace: "total4",
            expected: "GPU memory unknown, 4Gi needed",
            ..Row::default()
        },
        Row {
            name: "an undeclared share fits on GPUs with unknown memory",
            node: unlabelled(),
            namespace: "total",
            ..Row::default()
        },
        Row {
            name: "PerGPU: time slices of a MIG device meet on it",
            node: unlabelled_mig(),
            running: vec![times(1, &running(slice("8Gi"), "pergpu"))],
            namespace: "pergpu",
            pod: slice("4Gi"),
            expected: "shares that may meet on one GPU would declare 12Gi of its 9011Mi",
        },
        Row {
            name: "Total: the profile of a MIG device tells its memory",
            node: unlabelled_mig(),
            running: vec![times(1, &running(slice("8Gi"), "total"))],
            namespace: "total",
            pod: slice("8Gi"),
            ..Row::default()
        },
        Row {
            name: "MPS: a share next to another tenant",
            node: mps(),
            running: vec![shares_with_memory(15, "3840Mi", "free")],
            namespace: "alone",
            pod: of("1Gi"),
            expected: "GPUs shared with another tenant",
        },
        Row {
            name: "MPS: a share has a fixed fraction of the memory, even without limits",
            node: mps(),
            namespace: "free",
            pod: of("4Gi"),
            expected: "3840Mi GPU memory a share, 4Gi needed",
            ..Row::default()
        },
        Row {
            name: "MPS: declarations are not added up",
            node: mps(),
            running: vec![shares_with_memory(15, "3840Mi", "free")],
            namespace: "free",
            pod: of("3840Mi"),
            ..Row::default()
        },
    ]);
}
