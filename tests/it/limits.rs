//! Limits of policies: what keeps a pod off a node that fits by Kubernetes' own counts.

mod memory;
mod oracle;
mod policy_changes;
mod properties;
mod shares_per_gpu;
mod tenants;

use apportion_core::extender::AnswerSize;
use apportion_core::policy::PolicySet;
use apportion_testing::{Naming, Node, set};
use serde_json::{Value, json};

use super::fixtures::{World, args, ledger, on, pod, policies};
use super::rows::declaring_memory;

const SLICES: &str = "strategies: [{strategy: time-slicing}]";
const ANY_SHARE: &str = "strategies: [{strategy: exclusive}, {strategy: mig, profiles: [1g.10gb]}, {strategy: mps}, {strategy: time-slicing}]";

/// One policy for each kind of limit.
fn all_policies() -> PolicySet {
    let specs = [
        ("two", format!("{{limits: {{sharesPerGPU: 2}}, {SLICES}}}")),
        ("three", format!("{{limits: {{sharesPerGPU: 3}}, {SLICES}}}")),
        ("alone", format!("{{limits: {{tenants: Apart}}, {ANY_SHARE}}}")),
        (
            "teams",
            format!("{{limits: {{tenants: Apart, tenantLabel: team}}, {SLICES}}}"),
        ),
        ("total", format!("{{limits: {{memory: Total}}, {SLICES}}}")),
        (
            "total4",
            format!("{{limits: {{memory: Total, undeclaredMemory: 4Gi}}, {SLICES}}}"),
        ),
        ("pergpu", format!("{{limits: {{memory: PerGPU}}, {SLICES}}}")),
        (
            "watch",
            format!("{{mode: Warn, limits: {{sharesPerGPU: 1, tenants: Apart, memory: Total}}, {SLICES}}}"),
        ),
        ("free", format!("{{{ANY_SHARE}}}")),
    ];
    policies(specs.iter().map(|(name, spec)| (*name, spec.as_str())))
}

/// Namespaces under these policies, some with a team, and two without a policy.
const NAMESPACES: &[(&str, &[(&str, &str)])] = &[
    ("two", &[("apportion.dev/policy", "two")]),
    ("three", &[("apportion.dev/policy", "three")]),
    ("alone", &[("apportion.dev/policy", "alone")]),
    ("alone2", &[("apportion.dev/policy", "alone")]),
    ("blue1", &[("apportion.dev/policy", "teams"), ("team", "blue")]),
    ("blue2", &[("apportion.dev/policy", "teams"), ("team", "blue")]),
    ("red", &[("apportion.dev/policy", "teams"), ("team", "red")]),
    ("named", &[("apportion.dev/policy", "teams"), ("team", "teamless")]),
    ("teamless", &[("apportion.dev/policy", "teams"), ("team", "")]),
    ("total", &[("apportion.dev/policy", "total")]),
    ("total4", &[("apportion.dev/policy", "total4")]),
    ("pergpu", &[("apportion.dev/policy", "pergpu")]),
    ("watch", &[("apportion.dev/policy", "watch")]),
    ("free", &[("apportion.dev/policy", "free")]),
    ("free2", &[("apportion.dev/policy", "free")]),
    ("guest", &[]),
    ("kube-system", &[]),
];

/// Four T4 with 15 GiB and four time slices each, as `nvidia.com/gpu.shared`.
fn slices() -> Node {
    Node::shared("Tesla-T4", (4, 4), 15360, "time-slicing", Naming::Renamed).named("n")
}

/// The same with MPS.
fn mps() -> Node {
    Node::shared("Tesla-T4", (4, 4), 15360, "mps", Naming::Renamed).named("n")
}

/// A pod that requests one share.
fn share() -> Value {
    pod(&[("gpu.shared", "1")])
}

/// The pod in a namespace, running on the node of the tables.
fn running(pod: Value, namespace: &str) -> Value {
    set(on(pod, "n"), "/metadata/namespace", json!(namespace))
}

fn times(count: usize, pod: &Value) -> Vec<Value> {
    vec![pod.clone(); count]
}

/// Running pods with one share each.
fn shares(count: usize, namespace: &str) -> Vec<Value> {
    times(count, &running(share(), namespace))
}

/// Running pods with one share each that declare memory.
fn shares_with_memory(count: usize, memory: &str, namespace: &str) -> Vec<Value> {
    times(count, &running(declaring_memory(share(), memory), namespace))
}

/// Why the filter leaves the node out; empty if the node fits.
fn reason(world: &World, namespace: &str, pod: &Value) -> String {
    let answer = world.filter(&args(namespace, pod, &["n"]), AnswerSize::All);
    assert_eq!((&answer["Error"], &answer["FailedNodes"]), (&json!(""), &json!({})));
    let failed = answer["FailedAndUnresolvableNodes"]["n"].as_str();
    assert_eq!(failed.is_none(), answer["NodeNames"] == json!(["n"]), "{answer}");
    failed.unwrap_or_default().to_owned()
}

/// A pod, a node with pods on it, and why the filter leaves the node out.
struct Row {
    name: &'static str,
    node: Node,
    /// Pods on the node.
    running: Vec<Vec<Value>>,
    namespace: &'static str,
    pod: Value,
    /// Empty if the node fits.
    expected: &'static str,
}

/// A pod with one time slice that fits on an empty node.
impl Default for Row {
    fn default() -> Self {
        Row {
            name: "",
            node: slices(),
            running: Vec::new(),
            namespace: "",
            pod: share(),
            expected: "",
        }
    }
}

fn check(rows: Vec<Row>) {
    for row in rows {
        let ledger = ledger(&[row.node], &row.running.concat(), NAMESPACES);
        let world = World::new(all_policies(), ledger);
        assert_eq!(reason(&world, row.namespace, &row.pod), row.expected, "{}", row.name);
    }
}
