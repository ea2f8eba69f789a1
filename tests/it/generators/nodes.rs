//! Generators of nodes.

use apportion_testing::{Naming, Node};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Product, memory in MiB, and MIG profiles with their memory in MiB.
pub type Model = (&'static str, u64, &'static [(&'static str, u64)]);
pub const MODELS: &[Model] = &[
    (
        "NVIDIA-A100-SXM4-80GB",
        81920,
        &[("1g.10gb", 9728), ("2g.20gb", 19968), ("1g.10gb.me", 9728)],
    ),
    ("NVIDIA-A100-SXM4-40GB", 40960, &[("1g.5gb", 4864), ("1g.10gb", 9856)]),
    (
        "NVIDIA-H100-80GB-HBM3",
        81559,
        &[("1g.10gb", 10000), ("3g.40gb", 40000)],
    ),
    ("NVIDIA-A30", 24576, &[("1g.6gb", 5952), ("2g.12gb", 11968)]),
    ("Tesla-T4", 15360, &[]),
    ("Tesla-V100-SXM2-16GB", 16384, &[]),
];

/// Nodes of every kind, some with contradictory labels.
pub fn node() -> impl Strategy<Value = Node> {
    let sharing = select(vec!["time-slicing", "mps"]);
    (
        0..9usize,
        select(MODELS),
        any::<Index>(),
        sharing,
        select(vec![Naming::Same, Naming::Renamed]),
        1..5u64,
        2..5u64,
        select(vec!["a", "b"]),
        option::weighted(0.4, label_change()),
    )
        .prop_map(
            |(kind, (product, memory, profiles), which, sharing, naming, count, replicas, zone, label_change)| {
                let mig = (!profiles.is_empty()).then(|| profiles[which.index(profiles.len())]);
                let node = match (kind, mig) {
                    (0 | 1, _) => Node::whole(product, 2 * count, memory),
                    (2, Some((profile, mib))) => Node::mig_single(product, profile, count, mib),
                    (3, Some((profile, mib))) => Node::mig_mixed(product, profile, count, mib),
                    (4, Some(_)) => profiles
                        .iter()
                        .fold(Node::whole(product, count, memory), |node, (profile, mib)| {
                            node.with_mig(product, profile, count, *mib)
                        }),
                    (5, Some((profile, _))) => Node::mig_time_sliced(product, profile, (count, replicas), naming),
                    (6, Some((profile, mib))) => Node::shared(
                        &format!("{product}-MIG-{profile}"),
                        (count, replicas),
                        mib,
                        "time-slicing",
                        naming,
                    )
                    .label("nvidia.com/gpu.slices.gi", "1"),
                    (7, _) if label_change.is_none() => Node::new("", "", ""),
                    _ => Node::shared(product, (count, replicas), memory, sharing, naming),
                };
                let node = node.label("zone", zone);
                match label_change {
                    Some((key, Some(value))) => node.label(key, value),
                    Some((key, None)) => node.without_label(key),
                    None => node,
                }
            },
        )
}

/// A label with another value, or none.
fn label_change() -> impl Strategy<Value = (&'static str, Option<&'static str>)> {
    select(vec![
        ("nvidia.com/gpu.sharing-strategy", Some("none")),
        ("nvidia.com/gpu.sharing-strategy", Some("mps")),
        ("nvidia.com/gpu.sharing-strategy", Some("")),
        ("nvidia.com/gpu.sharing-strategy", Some("quantum")),
        ("nvidia.com/gpu.sharing-strategy", None),
        ("nvidia.com/gpu.replicas", Some("1")),
        ("nvidia.com/gpu.replicas", Some("4")),
        ("nvidia.com/gpu.replicas", None),
        ("nvidia.com/gpu.count", Some("1")),
        ("nvidia.com/gpu.count", Some("many")),
        ("nvidia.com/gpu.memory", None),
        ("nvidia.com/gpu.product", None),
        ("nvidia.com/gpu.product", Some("NVIDIA-A100-SXM4-80GB-MIG-INVALID")),
        ("nvidia.com/gpu.product", Some("Tesla-T4")),
        ("nvidia.com/gpu.product", Some("Tesla-T4-SHARED")),
        ("nvidia.com/mig-1g.10gb.sharing-strategy", Some("time-slicing")),
        ("nvidia.com/mig-1g.10gb.sharing-strategy", None),
        ("nvidia.com/mig-1g.10gb.replicas", Some("3")),
        ("nvidia.com/mig-1g.10gb.memory", None),
        ("nvidia.com/mig.config.state", Some("pending")),
        ("nvidia.com/gpu.deploy.device-plugin", Some("paused-for-mig-change")),
    ])
}
