//! Pods, policies and inventories for tests, and a world that answers the webhook's and the
//! scheduler's requests.

use std::fmt::Display;

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
use apportion_testing::{Container, Node, Pod, Policy, set};
use base64::Engine as _;
use serde_json::{Value, json};

/// A name and labels of a namespace.
pub type NamespaceLabels<'t> = (&'t str, &'t [(&'t str, &'t str)]);

/// A pod with one container that has these resources, without `nvidia.com/`.
pub fn pod(resources: &[(&str, &str)]) -> Value {
    let container = resources
        .iter()
        .fold(Container::new("c").set("/image", "cuda"), |container, (name, count)| {
            container.resource(&format!("nvidia.com/{name}"), *count)
        });
    // The API server always sends `resources`.
    let container = match resources {
        [] => container.set("/resources", json!({"limits": {}, "requests": {}})),
        _ => container,
    };
    Pod::new("p").container(container).into()
}

/// The pod bound to a node, or waiting where `node` is empty.
pub fn on(pod: Value, node: &str) -> Value {
    set(pod, "/spec/nodeName", node)
}

/// The pod with these terms of required node affinity.
pub fn with_node_affinity(pod: Value, terms: Value) -> Value {
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    set(pod, required, terms)
}

/// Policies by name and `spec`.
pub fn policies<'t>(specs: impl IntoIterator<Item = (&'t str, &'t str)>) -> PolicySet {
    PolicySet::new(parse::parse("policies.yaml", &Policy::stream(specs)).unwrap())
}

/// The policies in `policies/`.
pub fn shipped_policies() -> PolicySet {
    let files = ["training", "multi-tenant", "development", "inference"].map(|name| {
        let path = format!("{}/policies/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        (name, std::fs::read_to_string(path).unwrap())
    });
    PolicySet::new(parse::parse_all(files.iter().map(|(name, text)| (*name, text.as_str()))).unwrap())
}

/// What the inventory keeps of a node.
pub fn node_entry(node: &Node) -> NodeEntry {
    NodeEntry::new(serde_json::from_str(&node.to_string()).unwrap())
}

/// What the inventory keeps of a pod.
pub fn pod_record(pod: &impl Display) -> Option<PodRecord> {
    PodRecord::from_pod(&serde_json::from_str(&pod.to_string()).unwrap())
}

/// A ledger of nodes, pods and namespaces.
pub fn ledger(nodes: &[Node], pods: &[Value], namespaces: &[NamespaceLabels<'_>]) -> Ledger {
    let mut ledger = Ledger::default();
    for node in nodes {
        ledger.put_node(node_entry(node));
    }
    // Keys are positions, because generated pods may share a name.
    for (at, pod) in pods.iter().enumerate() {
        ledger.put_pod(&at.to_string(), pod_record(pod));
    }
    for (name, labels) in namespaces {
        ledger.put_namespace(name, labels.iter().copied().collect::<Labels>());
    }
    ledger
}

/// All that an answer depends on.
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

    /// The shipped policies, each in a namespace of the same name.
    pub fn shipped(nodes: &[Node], pods: &[Value]) -> Self {
        let policies = shipped_policies();
        let mut ledger = ledger(nodes, pods, &[]);
        for policy in policies.iter() {
            let name = policy.name.as_str();
            ledger.put_namespace(name, [("apportion.dev/policy", name)].into_iter().collect());
        }
        World::new(policies, ledger)
    }

    /// One policy with this `spec`, in namespace `ns`.
    pub fn of(spec: &str, nodes: &[Node], pods: &[Value]) -> Self {
        let namespaces: &[NamespaceLabels<'_>] = &[("ns", &[("apportion.dev/policy", "p")])];
        World::new(policies([("p", spec)]), ledger(nodes, pods, namespaces))
    }

    /// The webhook's answer to the creation of a pod.
    pub fn admit(&self, namespace: &str, pod: &Value) -> Answer {
        self.admit_body(&review(namespace, pod, false))
    }

    /// The webhook's answer to a review. Goes through bytes both ways, and applies the patch with
    /// another implementation than the product's.
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

    /// The filter's answer as JSON.
    pub fn filter(&self, args: &Value, size: AnswerSize) -> Value {
        let text = args.to_string();
        filter(
            &serde_json::from_str(&text).unwrap(),
            &self.extender(),
            size,
            |result| serde_json::to_value(result).unwrap(),
        )
    }

    /// The names of the nodes that pass the filter.
    pub fn filter_names(&self, namespace: &str, pod: &Value, nodes: &[Node], size: AnswerSize) -> Vec<String> {
        let names: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
        let answer = self.filter(&args(namespace, pod, &names), size);
        assert_eq!(answer["Error"], "");
        serde_json::from_value(answer["NodeNames"].clone()).unwrap()
    }

    /// The scores of nodes, from 0 to 10.
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

/// The webhook's answer, and the pod after its patch.
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

/// An `AdmissionReview` of a pod's creation.
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

/// `ExtenderArgs` of a scheduler with `nodeCacheCapable: true`.
pub fn args(namespace: &str, pod: &Value, names: &[&str]) -> Value {
    let pod = set(pod.clone(), "/metadata/namespace", json!(namespace));
    json!({"Pod": pod, "Nodes": null, "NodeNames": names})
}
