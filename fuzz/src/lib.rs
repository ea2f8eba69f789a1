//! Fuzzing of everything that reads bytes from outside.
//!
//! Install the tool once with `cargo install cargo-fuzz`, and run a target for a minute with
//!
//! ```text
//! cargo +nightly fuzz run review fuzz/corpus/review tests/data/recorded/admission -- -max_total_time=60
//! ```
//!
//! where `review` is one of the files in `fuzz_targets/`. `extender_args` starts from `tests/data/recorded/extender`, `policy` from
//! `policies`, `cluster_dump` from `examples/cluster`; `quantity` needs nothing to start from.

use std::sync::LazyLock;

use apportion_core::inventory::{Inventory, dump};
use apportion_core::policy::{PolicySet, parse};

/// The example cluster, whose namespaces `dev`, `train` and `tenants` of the recorded bodies are governed too.
pub static CLUSTER: LazyLock<Inventory> = LazyLock::new(|| {
    let mut ledger = dump::read(include_str!("../../examples/cluster/cluster.json")).expect("the example cluster");
    for (namespace, policy) in [
        ("dev", "development"),
        ("train", "training"),
        ("tenants", "multi-tenant"),
        ("search", "inference"),
    ] {
        ledger.put_namespace(namespace, [("apportion.dev/policy", policy)].into_iter().collect());
    }
    ledger.inventory().clone()
});

/// The policies that ship.
pub static POLICIES: LazyLock<PolicySet> = LazyLock::new(|| {
    let files = [
        ("training", include_str!("../../policies/training.yaml")),
        ("multi-tenant", include_str!("../../policies/multi-tenant.yaml")),
        ("development", include_str!("../../policies/development.yaml")),
        ("inference", include_str!("../../policies/inference.yaml")),
    ];
    PolicySet::new(parse::parse_all(files).expect("the shipped policies"))
});
