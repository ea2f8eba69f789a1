//! Nodes, pods and policies by hand, and the way through the webhook and the extender that a request takes.

use std::collections::BTreeMap;

use apportion_core::admission;
use apportion_core::admission::response::Rejection;
use apportion_core::admission::review;
use apportion_core::admission::{AdmissionOutcome, admit};
use apportion_core::extender;
use apportion_core::extender::{AnswerSize, filter, prioritize};
use apportion_core::gpu::Strategy;
use apportion_core::inventory::{
    Inventory, Ledger, NodeEntry, PendingAdmission, PendingAdmissions, PodRecord, Reserved,
};
use apportion_core::k8s::Labels;
use apportion_core::policy::OnUnknown;
use apportion_core::policy::{PolicySet, parse};
use base64::Engine as _;
use serde_json::{Value, json};

/// A node: what feature discovery and the device plugin say of it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub allocatable: BTreeMap<String, u64>,
    pub taints: Vec<Value>,
}

impl Node {
    /// `labels` as `gpu.count=8 gpu.replicas=1`, `allocatable` as `gpu=8`, both under `nvidia.com/`.
    pub fn new(name: &str, labels: &str, allocatable: &str) -> Self {
        let pairs = |text: &str| {
            text.split_whitespace()
                .map(|pair| pair.split_once('=').unwrap())
                .map(|(key, value)| (format!("nvidia.com/{key}"), value.to_owned()))
                .collect::<Vec<_>>()
        };
        let allocatable = pairs(allocatable)
            .into_iter()
            .map(|(key, count)| (key, count.parse().unwrap()));
        Node {
            name: name.to_owned(),
            labels: pairs(labels).into_iter().collect(),
            allocatable: allocatable.collect(),
            taints: Vec::new(),
        }
    }

    /// GPUs that nobody shares.
    pub fn whole(product: &str, count: u64, memory: u64) -> Self {
        let labels = format!(
            "gpu.product={product} gpu.count={count} gpu.replicas=1 gpu.sharing-strategy=none gpu.memory={memory}"
        );
        Node::new("whole", &labels, &format!("gpu={count}"))
    }

    /// GPUs in shares by `strategy`, under `.shared` where the plugin renames.
    pub fn shared(product: &str, (count, replicas): (u64, u64), memory: u64, strategy: &str, renamed: bool) -> Self {
        let (suffix, resource) = if renamed {
            ("", "gpu.shared")
        } else {
            ("-SHARED", "gpu")
        };
        let labels = format!(
            "gpu.product={product}{suffix} gpu.count={count} gpu.replicas={replicas} gpu.sharing-strategy={strategy} gpu.memory={memory}"
        );
        Node::new("shared", &labels, &format!("{resource}={}", count * replicas))
    }

    /// MIG strategy `single`: `nvidia.com/gpu` is a MIG device.
    pub fn single(product: &str, profile: &str, devices: u64, memory: u64) -> Self {
        let labels = format!(
            "gpu.product={product}-MIG-{profile} gpu.count={devices} gpu.replicas=1 gpu.sharing-strategy=none gpu.memory={memory} gpu.slices.gi=1 mig.strategy=single"
        );
        Node::new("single", &labels, &format!("gpu={devices}"))
    }

    /// MIG strategy `mixed` on all GPUs; `profile` as in a resource name.
    pub fn mixed(product: &str, profile: &str, devices: u64, memory: u64) -> Self {
        Node::new("mixed", &Node::whole_in_mig(product), "gpu=0").with_mig(product, profile, devices, memory)
    }

    fn whole_in_mig(product: &str) -> String {
        format!(
            "gpu.product={product} gpu.count=8 gpu.replicas=0 gpu.sharing-strategy=none gpu.memory=81920 mig.strategy=mixed"
        )
    }

    /// MIG devices besides what the node has.
    pub fn with_mig(self, product: &str, profile: &str, devices: u64, memory: u64) -> Self {
        let key = format!("mig-{profile}");
        let labels = format!(
            "{key}.product={product}-MIG-{profile} {key}.count={devices} {key}.replicas=1 {key}.sharing-strategy=none {key}.memory={memory}"
        );
        self.and(Node::new("", &labels, &format!("{key}={devices}")))
    }

    /// Time slices of MIG devices.
    pub fn mixed_in_slices(product: &str, profile: &str, (devices, replicas): (u64, u64), renamed: bool) -> Self {
        let (suffix, share) = if renamed { ("", ".shared") } else { ("-SHARED", "") };
        let key = format!("mig-{profile}");
        let labels = format!(
            "{key}.product={product}-MIG-{profile}{suffix} {key}.count={devices} {key}.replicas={replicas} {key}.sharing-strategy=time-slicing {key}.memory=9728"
        );
        Node::new("mixed", &Node::whole_in_mig(product), "gpu=0").and(Node::new(
            "",
            &labels,
            &format!("{key}{share}={}", devices * replicas),
        ))
    }

    fn and(mut self, other: Node) -> Self {
        self.labels.extend(other.labels);
        self.allocatable.extend(other.allocatable);
        self
    }

    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// One more label, or another value; not under `nvidia.com/` alone.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// One more taint, `mark` without a value.
    pub fn tainted(mut self, effect: &str) -> Self {
        self.taints.push(json!({"key": "mark", "effect": effect}));
        self
    }

    /// The object that the API server has.
    pub fn to_json(&self) -> Value {
        let allocatable: BTreeMap<&String, String> = self.allocatable.iter().map(|(k, v)| (k, v.to_string())).collect();
        json!({
            "metadata": {"name": self.name, "labels": self.labels, "managedFields": [{"manager": "kubelet"}]},
            "spec": {"taints": self.taints},
            "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
        })
    }
}

/// Eight A100 of 80 GB that nobody shares.
pub fn a100() -> Node {
    Node::whole("NVIDIA-A100-SXM4-80GB", 8, 81920).named("a100")
}

/// The same cut into 56 `1g.10gb` under MIG `mixed`.
pub fn a100_mixed() -> Node {
    Node::mixed("NVIDIA-A100-SXM4-80GB", "1g.10gb", 56, 9728).named("a100-mixed")
}

/// And under MIG `single`.
pub fn a100_single() -> Node {
    Node::single("NVIDIA-A100-SXM4-80GB", "1g.10gb", 56, 9728).named("a100-single")
}

/// Four T4, each cut into four; the name says how.
pub fn t4(strategy: &str, renamed: bool) -> Node {
    Node::shared("Tesla-T4", (4, 4), 15360, strategy, renamed).named(format!("t4-{strategy}"))
}

/// A pod with one container that asks for these GPU resources, in limits and requests as the API server sends it.
pub fn pod(resources: &[(&str, &str)]) -> Value {
    let list: BTreeMap<String, &str> = resources.iter().map(|(k, v)| (format!("nvidia.com/{k}"), *v)).collect();
    let container = json!({"name": "c", "image": "cuda", "resources": {"limits": list, "requests": list}});
    json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}})
}

/// `pod` with another value at a JSON pointer; missing objects on the way are made.
pub fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
    let mut at = &mut pod;
    for key in pointer.split('/').skip(1).map(|key| key.replace("~1", "/")) {
        at = match at {
            Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            other => &mut other[key],
        };
    }
    *at = value;
    pod
}

/// `pod` bound to a node, or waiting where `node` is empty.
pub fn on(pod: Value, node: &str) -> Value {
    with(pod, "/spec/nodeName", json!(node))
}

/// `pod` with required node affinity of these terms.
pub fn with_terms(pod: Value, terms: Value) -> Value {
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    with(pod, required, terms)
}

/// Policies of this `spec` under these names.
pub fn policies<'t>(specs: impl IntoIterator<Item = (&'t str, &'t str)>) -> PolicySet {
    let documents: Vec<String> = specs
        .into_iter()
        .map(|(name, spec)| {
            format!(
                "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n"
            )
        })
        .collect();
    PolicySet::new(parse::parse("policies.yaml", &documents.join("---\n")).unwrap())
}

/// The policies that ship.
pub fn shipped() -> PolicySet {
    let files = ["training", "multi-tenant", "development", "inference"].map(|name| {
        let path = format!("{}/policies/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        (name, std::fs::read_to_string(path).unwrap())
    });
    PolicySet::new(parse::parse_all(files.iter().map(|(name, text)| (*name, text.as_str()))).unwrap())
}

/// An inventory of nodes, pods, and one namespace for each policy, of its name.
pub fn ledger(nodes: &[Node], pods: &[Value], namespaces: &[(&str, &[(&str, &str)])]) -> Ledger {
    let mut ledger = Ledger::default();
    for node in nodes {
        ledger.put_node(NodeEntry::new(
            serde_json::from_str(&node.to_json().to_string()).unwrap(),
        ));
    }
    for (at, pod) in pods.iter().enumerate() {
        // Generated pods may share a name; these are different pods all the same.
        let record = PodRecord::from_pod(&serde_json::from_str(&pod.to_string()).unwrap());
        ledger.put_pod(&at.to_string(), record);
    }
    for (name, labels) in namespaces {
        ledger.put_namespace(name, labels.iter().copied().collect::<Labels>());
    }
    ledger
}

/// Everything that an answer depends on.
#[derive(Clone, Debug)]
pub struct World {
    pub policies: PolicySet,
    pub inventory: Inventory,
    pub pending: PendingAdmissions,
    pub reserved: Reserved,
    pub on_unknown: OnUnknown,
}

impl World {
    pub fn new(policies: PolicySet, ledger: Ledger) -> Self {
        let inventory = ledger.into_inventory(&policies);
        let (pending, on_unknown) = (PendingAdmissions::default(), OnUnknown::Refuse);
        World {
            policies,
            inventory,
            pending,
            reserved: Reserved::default(),
            on_unknown,
        }
    }

    /// The shipped policies, each on a namespace of its name.
    pub fn shipped(nodes: &[Node], pods: &[Value]) -> Self {
        let policies = shipped();
        let names: Vec<String> = policies.iter().map(|policy| policy.name.to_string()).collect();
        let labels: Vec<[(&str, &str); 1]> = names.iter().map(|name| [("apportion.dev/policy", &**name)]).collect();
        let namespaces: Vec<(&str, &[(&str, &str)])> = names
            .iter()
            .zip(&labels)
            .map(|(name, labels)| (&**name, &labels[..]))
            .collect();
        World::new(policies, ledger(nodes, pods, &namespaces))
    }

    /// One policy of this `spec`, on namespace `ns`.
    pub fn of(spec: &str, nodes: &[Node], pods: &[Value]) -> Self {
        let namespaces: &[(&str, &[(&str, &str)])] = &[("ns", &[("apportion.dev/policy", "p")])];
        World::new(policies([("p", spec)]), ledger(nodes, pods, namespaces))
    }

    pub fn admit(&self, namespace: &str, pod: &Value) -> Answer {
        self.admit_body(&review(namespace, pod, false))
    }

    /// The whole way: bytes of a review in, the answer's bytes read back, its patch applied by an implementation that is not ours.
    pub fn admit_body(&self, body: &Value) -> Answer {
        let bytes = body.to_string();
        let request = review::read(bytes.as_bytes()).unwrap();
        let admission = admit::admit(&request, &self.admission());
        let response: Value = serde_json::from_slice(&admission.response.to_json(&request.uid)).unwrap();
        let response = &response["response"];
        assert_eq!(response["uid"], body["request"]["uid"]);
        assert_eq!(response["allowed"], admission.response.denial.is_none());
        assert_eq!(response["patchType"] == "JSONPatch", response["patch"].is_string());
        let mut pod = body["request"]["object"].clone();
        let patch = response["patch"].as_str().map(|text| {
            let json = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
            serde_json::from_slice::<json_patch::Patch>(&json).unwrap()
        });
        if let Some(patch) = &patch {
            json_patch::patch(&mut pod, patch).unwrap();
        }
        Answer {
            outcome: admission.outcome,
            policy: admission.policy.map(|policy| policy.name.to_string()),
            strategy: admission.strategy,
            denial: admission.response.denial,
            warnings: admission.response.warnings,
            because: admission.reason,
            pending_admission: admission.pending_admission,
            patched: patch.is_some(),
            pod,
        }
    }

    /// The filter's answer, as the scheduler reads it.
    pub fn filter(&self, args: &Value, size: AnswerSize) -> Value {
        let text = args.to_string();
        filter(
            &serde_json::from_str(&text).unwrap(),
            &self.extender(),
            size,
            |result| serde_json::to_value(result).unwrap(),
        )
    }

    /// The names that the filter leaves of `nodes` for a pod in a namespace.
    pub fn filter_names(&self, namespace: &str, pod: &Value, nodes: &[Node], size: AnswerSize) -> Vec<String> {
        let names: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
        let answer = self.filter(&args(namespace, pod, &names), size);
        assert_eq!(answer["Error"], "");
        serde_json::from_value(answer["NodeNames"].clone()).unwrap()
    }

    /// What prioritize gives each, from 0 to 10.
    pub fn scores(&self, namespace: &str, pod: &Value, names: &[String]) -> Vec<i64> {
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let text = args(namespace, pod, &names).to_string();
        let args = serde_json::from_str(&text).unwrap();
        prioritize(&args, &self.extender(), |scores| {
            scores.iter().map(|score| score.score).collect()
        })
        .unwrap()
    }

    pub fn admission(&self) -> admission::AdmissionContext<'_, '_> {
        admission::AdmissionContext {
            policies: &self.policies,
            inventory: &self.inventory,
            pending: &self.pending,
            on_unknown: self.on_unknown,
            own_namespace: Some("apportion-system"),
            scheduler_name: None,
        }
    }

    pub fn extender(&self) -> extender::ExtenderContext<'_> {
        extender::ExtenderContext {
            policies: &self.policies,
            inventory: &self.inventory,
            reserved: &self.reserved,
            on_unknown: self.on_unknown,
        }
    }
}

/// What came back, and the pod that came of it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub outcome: AdmissionOutcome,
    pub policy: Option<String>,
    pub strategy: Option<Strategy>,
    pub denial: Option<Rejection>,
    pub warnings: Vec<String>,
    pub because: String,
    pub pending_admission: Option<PendingAdmission>,
    pub patched: bool,
    pub pod: Value,
}

/// The review of a pod's creation.
pub fn review(namespace: &str, pod: &Value, dry_run: bool) -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace, "operation": "CREATE", "object": pod, "oldObject": null, "dryRun": dry_run,
        },
    })
}

/// The question of a scheduler with `nodeCacheCapable: true`.
pub fn args(namespace: &str, pod: &Value, names: &[&str]) -> Value {
    let pod = with(pod.clone(), "/metadata/namespace", json!(namespace));
    json!({"Pod": pod, "Nodes": null, "NodeNames": names})
}
