//! Fuzzing of everything that parses bytes from outside. `fuzz/run` builds and runs the targets:
//!
//! ```text
//! fuzz/run 60 review
//! ```

use std::sync::LazyLock;

use apportion_core::inventory::{Inventory, dump};
use apportion_core::policy::{PolicySet, parse};

/// The example cluster, with a policy for each namespace of the recorded requests.
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

/// The policies in `policies/`.
pub static POLICIES: LazyLock<PolicySet> = LazyLock::new(|| {
    let files = [
        ("training", include_str!("../../policies/training.yaml")),
        ("multi-tenant", include_str!("../../policies/multi-tenant.yaml")),
        ("development", include_str!("../../policies/development.yaml")),
        ("inference", include_str!("../../policies/inference.yaml")),
    ];
    PolicySet::new(parse::parse_all(files).expect("the shipped policies"))
});
