//! Limits of policies, row by row: what keeps a pod off a node that Kubernetes' own counts would send it to.

use std::sync::Arc;

use apportion_core::extender::AnswerSize;
use apportion_core::inventory::{Ledger, NodeEntry, PendingAdmissions, PodRecord, Reserved};
use apportion_core::k8s::text::Labels;
use apportion_core::policy::PolicySet;
use apportion_core::policy::governance::OnUnknown;
use apportion_testing::{Naming, Node, a100, a100_mig_mixed, a100_mig_single, set};
use serde_json::{Value, json};

use super::fixtures::{World, args, ledger, on, pod, policies};
use super::rows::declaring_memory;

const SLICES: &str = "strategies: [{strategy: time-slicing}]";
const ANY_SHARE: &str = "strategies: [{strategy: exclusive}, {strategy: mig, profiles: [1g.10gb]}, {strategy: mps}, {strategy: time-slicing}]";

/// One policy for each way to be limited.
fn all() -> PolicySet {
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

/// Two namespaces for each policy, some with a team, and some without a policy.
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

/// Four T4 of 15 GiB, each in four slices, under their own name.
fn slices() -> Node {
    Node::shared("Tesla-T4", (4, 4), 15360, "time-slicing", Naming::Renamed).named("n")
}

fn mps() -> Node {
    Node::shared("Tesla-T4", (4, 4), 15360, "mps", Naming::Renamed).named("n")
}

fn share() -> Value {
    pod(&[("gpu.shared", "1")])
}

/// `pod` in a namespace, on the node of the table.
fn there(pod: Value, namespace: &str) -> Value {
    set(on(pod, "n"), "/metadata/namespace", json!(namespace))
}

fn times(count: usize, pod: &Value) -> Vec<Value> {
    vec![pod.clone(); count]
}

fn shares(count: usize, namespace: &str) -> Vec<Value> {
    times(count, &there(share(), namespace))
}

fn sized(count: usize, memory: &str, namespace: &str) -> Vec<Value> {
    times(count, &there(declaring_memory(share(), memory), namespace))
}

/// Why the node does not do, or nothing.
fn refusal(world: &World, namespace: &str, pod: &Value) -> String {
    let answer = world.filter(&args(namespace, pod, &["n"]), AnswerSize::All);
    assert_eq!((&answer["Error"], &answer["FailedNodes"]), (&json!(""), &json!({})));
    let failed = answer["FailedAndUnresolvableNodes"]["n"].as_str();
    assert_eq!(failed.is_none(), answer["NodeNames"] == json!(["n"]), "{answer}");
    failed.unwrap_or_default().to_owned()
}

type Row = (&'static str, Node, Vec<Vec<Value>>, &'static str, Value, &'static str);

fn hold(rows: Vec<Row>) {
    for (rule, node, there, namespace, pod, expected) in rows {
        let ledger = ledger(&[node], &there.concat(), NAMESPACES);
        let world = World::new(all(), ledger);
        assert_eq!(refusal(&world, namespace, &pod), expected, "{rule}");
    }
}

#[test]
fn shares_of_each_gpu() {
    let two_containers = json!({"metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "a", "resources": {"limits": {"nvidia.com/gpu.shared": 1}}},
        {"name": "b", "resources": {"limits": {"nvidia.com/gpu.shared": 1}}}]}});
    let finished = set(there(share(), "two"), "/status", json!({"phase": "Succeeded"}));
    let leaving = set(
        there(share(), "two"),
        "/metadata/deletionTimestamp",
        json!("2026-01-01T00:00:00Z"),
    );
    let waiting = set(share(), "/metadata/namespace", json!("two"));
    let not_renamed = || Node::shared("Tesla-T4", (4, 4), 15360, "time-slicing", Naming::Same).named("n");
    let gpu = || pod(&[("gpu", "1")]);
    let full = "8 of 8 shares of 4 GPUs taken, 1 needed";
    hold(vec![
        ("below the limit", slices(), vec![shares(7, "two")], "two", share(), ""),
        (
            "at the limit, though half of the replicas are free",
            slices(),
            vec![shares(8, "two")],
            "two",
            share(),
            full,
        ),
        (
            "above it, as after a change",
            slices(),
            vec![shares(9, "two")],
            "two",
            share(),
            "9 of 8 shares of 4 GPUs taken, 1 needed",
        ),
        (
            "whoever holds them",
            slices(),
            vec![shares(8, "free")],
            "two",
            share(),
            full,
        ),
        (
            "a neighbour's limit binds who has none",
            slices(),
            vec![shares(1, "two"), shares(7, "free")],
            "free",
            share(),
            full,
        ),
        (
            "and a guest that no policy governs",
            slices(),
            vec![shares(1, "two"), shares(7, "guest")],
            "guest",
            share(),
            full,
        ),
        (
            "also from an exempt namespace",
            slices(),
            vec![shares(8, "two")],
            "kube-system",
            share(),
            full,
        ),
        (
            "of two limits the strictest: the neighbour's",
            slices(),
            vec![shares(8, "two")],
            "three",
            share(),
            full,
        ),
        (
            "of two limits the strictest: its own",
            slices(),
            vec![shares(8, "three")],
            "two",
            share(),
            full,
        ),
        (
            "the looser one alone",
            slices(),
            vec![shares(8, "three")],
            "three",
            share(),
            "",
        ),
        (
            "where nobody is limited the replicas count",
            slices(),
            vec![shares(15, "free")],
            "free",
            share(),
            "",
        ),
        (
            "and nothing more",
            slices(),
            vec![shares(16, "free")],
            "free",
            share(),
            "0 of 16 gpu.shared free",
        ),
        (
            "a guest among the unlimited is Kubernetes' to count",
            slices(),
            vec![shares(16, "free")],
            "guest",
            share(),
            "",
        ),
        (
            "a policy that only warns promises its pods nothing",
            slices(),
            vec![shares(8, "watch")],
            "free",
            share(),
            "",
        ),
        (
            "nor does it hold them to their own limit",
            slices(),
            vec![shares(8, "free")],
            "watch",
            share(),
            "",
        ),
        (
            "but to their neighbours'",
            slices(),
            vec![shares(8, "two")],
            "watch",
            share(),
            full,
        ),
        (
            "a pod with two shares counts as two",
            slices(),
            vec![shares(7, "two")],
            "two",
            two_containers.clone(),
            "7 of 8 shares of 4 GPUs taken, 2 needed",
        ),
        (
            "and does where it is",
            slices(),
            vec![times(4, &there(two_containers, "two"))],
            "two",
            share(),
            full,
        ),
        (
            "finished pods hold nothing",
            slices(),
            vec![shares(7, "two"), vec![finished]],
            "two",
            share(),
            "",
        ),
        (
            "one that is leaving still does",
            slices(),
            vec![shares(7, "two"), vec![leaving]],
            "two",
            share(),
            full,
        ),
        (
            "one that waits does not yet",
            slices(),
            vec![shares(7, "two"), vec![waiting]],
            "two",
            share(),
            "",
        ),
        (
            "where the plugin does not rename",
            not_renamed(),
            vec![times(8, &there(gpu(), "two"))],
            "two",
            gpu(),
            full,
        ),
        (
            "one GPU",
            Node::shared("Tesla-T4", (1, 4), 15360, "time-slicing", Naming::Renamed).named("n"),
            vec![shares(2, "two")],
            "two",
            share(),
            "2 of 2 shares of 1 GPU taken, 1 needed",
        ),
        (
            "a limit above the replicas has no effect",
            Node::shared("Tesla-T4", (1, 2), 15360, "time-slicing", Naming::Renamed).named("n"),
            vec![shares(1, "three")],
            "three",
            share(),
            "",
        ),
        (
            "whole GPUs have no shares",
            a100().named("n"),
            vec![times(7, &there(gpu(), "two"))],
            "free",
            gpu(),
            "",
        ),
    ]);
}

#[test]
fn tenants_apart() {
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
    // Whole GPUs in slices, and MIG devices beside them.
    let both = || slices().with_mig("NVIDIA-A100-SXM4-80GB", "1g.10gb", 7, 9728);
    let gpu = || pod(&[("gpu", "1")]);
    let labelled = set(share(), "/metadata/labels", json!({"team": "blue"}));
    let stranger = "GPUs shared with another tenant";
    hold(vec![
        ("alone", slices(), vec![], "alone", share(), ""),
        ("with its own", slices(), vec![shares(3, "alone")], "alone", share(), ""),
        (
            "with another under the same policy",
            slices(),
            vec![shares(1, "alone2")],
            "alone",
            share(),
            stranger,
        ),
        (
            "on MPS too",
            mps(),
            vec![shares(1, "alone2")],
            "alone",
            share(),
            stranger,
        ),
        (
            "with one who minds nothing",
            slices(),
            vec![shares(1, "free")],
            "alone",
            share(),
            stranger,
        ),
        (
            "who minds nothing does not come to one who minds",
            slices(),
            vec![shares(1, "alone")],
            "free",
            share(),
            stranger,
        ),
        (
            "nor does a guest",
            slices(),
            vec![shares(1, "alone")],
            "guest",
            share(),
            stranger,
        ),
        (
            "nor comes who minds to a guest",
            slices(),
            vec![shares(1, "guest")],
            "alone",
            share(),
            stranger,
        ),
        (
            "two who mind nothing",
            slices(),
            vec![shares(1, "free")],
            "free2",
            share(),
            "",
        ),
        (
            "a policy that only warns keeps nobody apart",
            slices(),
            vec![shares(1, "watch")],
            "free",
            share(),
            "",
        ),
        (
            "one tenant of two namespaces, by label",
            slices(),
            vec![shares(1, "blue1")],
            "blue2",
            share(),
            "",
        ),
        (
            "another value is another tenant",
            slices(),
            vec![shares(1, "red")],
            "blue2",
            share(),
            stranger,
        ),
        (
            "a label without a value names nobody",
            slices(),
            vec![shares(1, "teamless")],
            "blue1",
            share(),
            stranger,
        ),
        (
            "a namespace is not the team of its name",
            slices(),
            vec![shares(1, "teamless")],
            "named",
            share(),
            stranger,
        ),
        (
            "the pod's own label does not make it of a team",
            slices(),
            vec![shares(1, "blue1")],
            "red",
            labelled,
            stranger,
        ),
        (
            "one tenant under one policy is another under one that names tenants otherwise",
            slices(),
            vec![shares(1, "alone")],
            "blue1",
            share(),
            stranger,
        ),
        (
            "MIG devices are exempt",
            a100_mig_mixed().named("n"),
            vec![times(1, &there(device(), "alone2"))],
            "alone",
            device(),
            "",
        ),
        (
            "under MIG strategy single too",
            a100_mig_single().named("n"),
            vec![times(1, &there(gpu(), "alone2"))],
            "alone",
            gpu(),
            "",
        ),
        (
            "whole GPUs are",
            a100().named("n"),
            vec![times(1, &there(gpu(), "alone2"))],
            "alone",
            gpu(),
            "",
        ),
        (
            "slices of a MIG device are not",
            sliced_mig(),
            vec![times(1, &there(slice(), "free"))],
            "alone",
            slice(),
            stranger,
        ),
        (
            "nor under MIG strategy single",
            sliced_single(),
            vec![times(1, &there(share(), "free"))],
            "alone",
            share(),
            stranger,
        ),
        (
            "a MIG device beside shares of others",
            both(),
            vec![shares(1, "free")],
            "alone",
            device(),
            "",
        ),
        (
            "a share beside others' MIG devices",
            both(),
            vec![times(1, &there(device(), "free"))],
            "alone",
            share(),
            "",
        ),
    ]);
}

#[test]
fn declared_memory() {
    let of = |memory: &str| declaring_memory(share(), memory);
    let unlabelled = || {
        let mut node = slices();
        node.labels.remove("nvidia.com/gpu.memory");
        node
    };
    let slice = |memory: &str| declaring_memory(pod(&[("mig-1g.10gb.shared", "1")]), memory);
    let nameless = || {
        let mut node = Node::mig_time_sliced("NVIDIA-A100-SXM4-80GB", "1g.10gb", (2, 2), Naming::Renamed).named("n");
        node.labels.remove("nvidia.com/mig-1g.10gb.memory");
        node
    };
    let two_shares = declaring_memory(pod(&[("gpu.shared", "2")]), "8Gi");
    let two = "shares that may meet on one GPU would declare 16Gi of its 15Gi";
    hold(vec![
        (
            "one share is held to one GPU, whatever the limits",
            slices(),
            vec![],
            "free",
            of("16Gi"),
            "15Gi GPU memory a share, 16Gi needed",
        ),
        (
            "without a limit no sum counts",
            slices(),
            vec![sized(15, "15Gi", "free")],
            "free",
            of("15Gi"),
            "",
        ),
        (
            "the sum may be all there is",
            slices(),
            vec![sized(3, "15Gi", "total")],
            "total",
            of("15Gi"),
            "",
        ),
        (
            "and not more",
            slices(),
            vec![sized(3, "15Gi", "total"), sized(1, "1Gi", "total")],
            "total",
            of("15Gi"),
            "61Gi of 60Gi GPU memory would be declared",
        ),
        (
            "who declares nothing adds nothing",
            slices(),
            vec![sized(4, "15Gi", "total")],
            "total",
            share(),
            "",
        ),
        (
            "unless the policy assumes something",
            slices(),
            vec![shares(15, "total4")],
            "total4",
            share(),
            "64Gi of 60Gi GPU memory would be declared",
        ),
        (
            "what is declared goes before what is assumed",
            slices(),
            vec![shares(14, "total4")],
            "total4",
            of("4Gi"),
            "",
        ),
        (
            "for a pod under another policy it assumes nothing",
            slices(),
            vec![shares(15, "free")],
            "total4",
            share(),
            "",
        ),
        (
            "a neighbour's limit binds who has none",
            slices(),
            vec![sized(1, "15Gi", "total"), sized(3, "15Gi", "free")],
            "free",
            of("1Gi"),
            "61Gi of 60Gi GPU memory would be declared",
        ),
        (
            "a guest too",
            slices(),
            vec![sized(4, "15Gi", "total")],
            "guest",
            of("1Gi"),
            "61Gi of 60Gi GPU memory would be declared",
        ),
        (
            "a policy that only warns has no limit",
            slices(),
            vec![sized(4, "15Gi", "watch")],
            "watch",
            of("1Gi"),
            "",
        ),
        (
            "each share of a pod counts",
            slices(),
            vec![sized(3, "15Gi", "total")],
            "total",
            two_shares.clone(),
            "61Gi of 60Gi GPU memory would be declared",
        ),
        (
            "the sum lets two meet that are too large together",
            slices(),
            vec![sized(1, "8Gi", "total")],
            "total",
            of("8Gi"),
            "",
        ),
        (
            "per GPU does not",
            slices(),
            vec![sized(1, "8Gi", "pergpu")],
            "pergpu",
            of("8Gi"),
            two,
        ),
        ("nor two shares of one pod", slices(), vec![], "pergpu", two_shares, two),
        (
            "as many as can meet may be as large as the GPU",
            slices(),
            vec![sized(3, "3Gi", "pergpu")],
            "pergpu",
            of("6Gi"),
            "",
        ),
        (
            "and not more",
            slices(),
            vec![sized(3, "3Gi", "pergpu")],
            "pergpu",
            of("7Gi"),
            two,
        ),
        (
            "more than can meet never do",
            slices(),
            vec![sized(15, "3Gi", "pergpu")],
            "pergpu",
            of("3Gi"),
            "",
        ),
        (
            "per GPU binds who has no limit",
            slices(),
            vec![sized(1, "8Gi", "pergpu")],
            "free",
            of("8Gi"),
            two,
        ),
        (
            "and who has a looser one",
            slices(),
            vec![sized(1, "8Gi", "pergpu")],
            "total",
            of("8Gi"),
            two,
        ),
        (
            "GPUs of unknown memory: declared",
            unlabelled(),
            vec![],
            "total",
            of("4Gi"),
            "GPU memory unknown, 4Gi needed",
        ),
        (
            "and assumed",
            unlabelled(),
            vec![],
            "total4",
            share(),
            "GPU memory unknown, 4Gi needed",
        ),
        ("and neither", unlabelled(), vec![], "total", share(), ""),
        (
            "slices of a MIG device meet on it",
            nameless(),
            vec![times(1, &there(slice("8Gi"), "pergpu"))],
            "pergpu",
            slice("4Gi"),
            "shares that may meet on one GPU would declare 12Gi of its 9011Mi",
        ),
        (
            "whose profile assures its memory",
            nameless(),
            vec![times(1, &there(slice("8Gi"), "total"))],
            "total",
            slice("8Gi"),
            "",
        ),
        (
            "an MPS share has memory of its own",
            mps(),
            vec![sized(15, "3840Mi", "free")],
            "alone",
            of("1Gi"),
            "GPUs shared with another tenant",
        ),
        (
            "which holds without a limit",
            mps(),
            vec![],
            "free",
            of("4Gi"),
            "3840Mi GPU memory a share, 4Gi needed",
        ),
        (
            "and is not added up",
            mps(),
            vec![sized(15, "3840Mi", "free")],
            "free",
            of("3840Mi"),
            "",
        ),
    ]);
}

/// A cluster that lives: what changes while pods run.
struct Alive {
    ledger: Ledger,
    policies: PolicySet,
}

impl Alive {
    fn with(pods: &[Vec<Value>]) -> Self {
        let mut alive = Alive {
            ledger: Ledger::default(),
            policies: PolicySet::default(),
        };
        alive.govern(all());
        alive.node(&slices());
        for (name, labels) in NAMESPACES {
            alive.label(name, labels);
        }
        for (at, pod) in pods.concat().iter().enumerate() {
            let record = PodRecord::of(&serde_json::from_str(&pod.to_string()).unwrap());
            let namespace = pod["metadata"]["namespace"].as_str().unwrap();
            alive.ledger.put_pod(&format!("{namespace}/{at}"), record);
        }
        alive
    }

    fn govern(&mut self, policies: PolicySet) {
        self.ledger.set_policies(Arc::new(policies.clone()));
        self.policies = policies;
    }

    fn label(&mut self, namespace: &str, labels: &[(&str, &str)]) {
        self.ledger
            .put_namespace(namespace, labels.iter().copied().collect::<Labels>());
    }

    fn node(&mut self, node: &Node) {
        self.ledger.put_node(NodeEntry::of(
            serde_json::from_str(&node.to_json().to_string()).unwrap(),
        ));
    }

    fn refusal(&self, namespace: &str, pod: &Value) -> String {
        let world = World {
            policies: self.policies.clone(),
            inventory: self.ledger.inventory().clone(),
            pending: PendingAdmissions::default(),
            reserved: Reserved::default(),
            on_unknown: OnUnknown::Refuse,
        };
        refusal(&world, namespace, pod)
    }
}

#[test]
fn namespaces_are_relabelled_while_their_pods_run() {
    let stranger = "GPUs shared with another tenant";
    let mut alive = Alive::with(&[shares(1, "blue1")]);
    assert_eq!(alive.refusal("red", &share()), stranger);
    alive.label("blue1", &[("apportion.dev/policy", "teams"), ("team", "red")]);
    assert_eq!(alive.refusal("red", &share()), "", "the pods are red's now");
    assert_eq!(alive.refusal("blue2", &share()), stranger);
    alive.label("blue1", &[("apportion.dev/policy", "free")]);
    assert_eq!(alive.refusal("free2", &share()), "", "they mind nothing now");
    assert_eq!(alive.refusal("red", &share()), stranger, "but red does");
    alive.label("blue1", &[("apportion.dev/policy", "nobody")]);
    assert_eq!(
        alive.refusal("free2", &share()),
        "",
        "a policy that is not there promises nothing"
    );
}

#[test]
fn policies_change_while_their_pods_run() {
    let mut alive = Alive::with(&[shares(8, "two")]);
    let full = "8 of 8 shares of 4 GPUs taken, 1 needed";
    assert_eq!(alive.refusal("free", &share()), full);
    let changed = |from: &str, to: &str| {
        let known = all();
        let changed = known.iter().map(|policy| {
            let mut policy = policy.clone();
            if policy.name.as_str() == from {
                policy.limits = known.get(to).unwrap().limits;
                policy.mode = known.get(to).unwrap().mode;
            }
            policy
        });
        PolicySet::new(changed.collect())
    };
    alive.govern(changed("two", "three"));
    assert_eq!(alive.refusal("free", &share()), "");
    alive.govern(changed("two", "alone"));
    assert_eq!(alive.refusal("free", &share()), "GPUs shared with another tenant");
    alive.govern(changed("two", "watch"));
    assert_eq!(alive.refusal("free", &share()), "");
    alive.govern(all());
    assert_eq!(alive.refusal("free", &share()), full);
    alive.govern(PolicySet::default());
    assert_eq!(
        alive.refusal("free", &share()),
        "",
        "without policies nobody is held to anything"
    );
}

#[test]
fn nodes_change_while_their_pods_run() {
    let mut alive = Alive::with(&[shares(8, "two")]);
    let full = "8 of 8 shares of 4 GPUs taken, 1 needed";
    let cut = |count, replicas| {
        Node::shared("Tesla-T4", (count, replicas), 15360, "time-slicing", Naming::Renamed).named("n")
    };
    alive.node(&cut(4, 8));
    assert_eq!(alive.refusal("free", &share()), full, "more replicas make no GPU more");
    alive.node(&cut(6, 4));
    assert_eq!(alive.refusal("free", &share()), "", "more GPUs do");
    alive.node(&cut(2, 4));
    assert_eq!(alive.refusal("two", &share()), "0 of 8 gpu.shared free");
    let mut broken = cut(4, 4);
    broken.allocatable.insert("nvidia.com/gpu.shared".to_owned(), 12);
    alive.node(&broken);
    assert_eq!(
        alive.refusal("free", &share()),
        "8 of 6 shares of 3 GPUs taken, 1 needed",
        "the plugin takes the shares of a broken GPU back"
    );
    alive.ledger.remove_node("n");
    assert_eq!(alive.refusal("free", &share()), "not known to apportion yet");
    alive.node(&cut(4, 4));
    assert_eq!(alive.refusal("free", &share()), full, "its pods were remembered");
}
