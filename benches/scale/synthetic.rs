//! A synthetic cluster of any size, from the nodes and pods of the example cluster.
//!
//! Of ten nodes, six have whole GPUs, two MIG devices, one time slices and one MPS shares. A fifth
//! of the pods have GPUs. Objects are padded to the size that they have in real clusters: images on
//! nodes, `managedFields` on pods.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// The nodes of the example cluster that the ten nodes copy.
const KINDS: [&str; 10] = [
    "a100-1",
    "a100-1",
    "a100-mig",
    "a100-1",
    "l4-slices",
    "a100-1",
    "a100-mig",
    "a100-1",
    "t4-mps",
    "a100-1",
];
/// An index into [`KINDS`].
pub(crate) const SORTS: [(&str, usize); 4] = [
    ("whole GPUs", 0),
    ("MIG devices", 2),
    ("time slices", 4),
    ("MPS shares", 8),
];
/// One of this many pods has GPUs.
const GPU_EVERY: u32 = 5;
/// Minimum bytes of an object: nodes with 50 images, and pods with one field manager.
const NODE_BYTES: usize = 13_900;
const POD_BYTES: usize = 6000;
/// Ungoverned namespaces.
const TEAMS: u32 = 500;

/// What differs between objects of a kind.
struct Filling<'f> {
    name: &'f str,
    node: &'f str,
    uid: &'f str,
    version: &'f str,
}

/// The text of an object, split at the placeholders.
struct Template(Vec<(String, Option<Gap>)>);

#[derive(Clone, Copy)]
enum Gap {
    Name,
    Node,
    Uid,
    Version,
}

impl Gap {
    const ALL: [Gap; 4] = [Gap::Name, Gap::Node, Gap::Uid, Gap::Version];

    fn mark(self) -> &'static str {
        match self {
            Gap::Name => "§name§",
            Gap::Node => "§node§",
            Gap::Uid => "§uid§",
            Gap::Version => "§version§",
        }
    }
}

impl Template {
    fn of(object: &Value) -> Self {
        let text = object.to_string();
        let mut rest = text.as_str();
        let mut pieces = Vec::new();
        let next = |rest: &str| {
            let found = Gap::ALL
                .into_iter()
                .filter_map(|gap| Some((rest.find(gap.mark())?, gap)));
            found.min_by_key(|(at, _)| *at)
        };
        while let Some((at, gap)) = next(rest) {
            pieces.push((rest[..at].to_owned(), Some(gap)));
            rest = &rest[at + gap.mark().len()..];
        }
        pieces.push((rest.to_owned(), None));
        Template(pieces)
    }

    fn fill(&self, filling: &Filling<'_>, into: &mut String) {
        for (text, gap) in &self.0 {
            into.push_str(text);
            match gap {
                Some(Gap::Name) => into.push_str(filling.name),
                Some(Gap::Node) => into.push_str(filling.node),
                Some(Gap::Uid) => into.push_str(filling.uid),
                Some(Gap::Version) => into.push_str(filling.version),
                None => {}
            }
        }
    }
}

/// A bound pod, and the same pod before it was bound.
struct PodTemplates {
    bound: Template,
    waiting: Template,
}

/// Where a pod is.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// On its node.
    Bound,
    /// Not scheduled.
    Waiting,
}

/// The cluster.
pub(crate) struct Cluster {
    pub(crate) nodes: u32,
    pub(crate) pods: u32,
    node_kinds: Vec<Template>,
    /// What runs on each of the kinds.
    pod_kinds: Vec<PodTemplates>,
    plain: PodTemplates,
    namespaces: Vec<String>,
}

impl Cluster {
    /// One of this size.
    pub(crate) fn new(nodes: u32, pods: u32) -> anyhow::Result<Self> {
        ensure!(nodes > 0, "a cluster has nodes");
        let example: Value = serde_json::from_str(include_str!("../../examples/cluster/cluster.json"))?;
        let items = example["items"].as_array().context("no items")?;
        let of_kind = |kind: &'static str| items.iter().filter(move |item| item["kind"] == kind);
        let node = |name: &str| {
            let found = of_kind("Node").find(|item| item["metadata"]["name"] == *name);
            found
                .cloned()
                .with_context(|| format!("the example cluster has no node {name}"))
        };
        // On these nodes, only the operator's own pods have no GPU.
        let running_on = |node: &str, plain: bool| {
            let found = of_kind("Pod").find(|item| {
                item["spec"]["nodeName"] == *node
                    && item["status"]["phase"] == "Running"
                    && (item["metadata"]["namespace"] == "gpu-operator") == plain
            });
            found
                .cloned()
                .with_context(|| format!("the example cluster has no such pod on {node}"))
        };
        let mut namespaces: Vec<String> = of_kind("Namespace").map(ToString::to_string).collect();
        namespaces.extend((0..TEAMS).map(|team| {
            json!({"metadata": {"name": format!("team-{team}"), "uid": format!("ns-{team}"), "resourceVersion": "1",
                "labels": {"kubernetes.io/metadata.name": format!("team-{team}")}}})
            .to_string()
        }));
        Ok(Cluster {
            nodes,
            pods,
            node_kinds: KINDS
                .into_iter()
                .map(|name| Ok(Template::of(&of_any_name(node(name)?))))
                .collect::<anyhow::Result<_>>()?,
            pod_kinds: KINDS
                .into_iter()
                .map(|name| Ok(pod_templates(running_on(name, false)?)))
                .collect::<anyhow::Result<_>>()?,
            plain: pod_templates(running_on(KINDS[0], true)?),
            namespaces,
        })
    }

    /// The name of a node.
    pub(crate) fn node_name(at: u32) -> String {
        format!("gpu-{at:05}.eu-north-1.compute.internal")
    }

    /// The text of a node.
    pub(crate) fn node(&self, at: u32, into: &mut String) {
        let name = Self::node_name(at);
        let filling = Filling {
            name: &name,
            node: &name,
            uid: &uid(0xa, at),
            version: "1",
        };
        self.node_kinds[at as usize % KINDS.len()].fill(&filling, into);
    }

    /// The text of a pod.
    pub(crate) fn pod(&self, at: u32, stage: Stage, version: u64, into: &mut String) {
        let (templates, node) = if at.is_multiple_of(GPU_EVERY) {
            let node = at / GPU_EVERY % self.nodes;
            (&self.pod_kinds[node as usize % KINDS.len()], node)
        } else {
            (&self.plain, at % self.nodes)
        };
        let template = match stage {
            Stage::Bound => &templates.bound,
            Stage::Waiting => &templates.waiting,
        };
        template.fill(
            &Filling {
                name: &format!("pod-{at:06}-7d9c8b6f5d-x{:04x}", at & 0xffff),
                node: &Self::node_name(node),
                uid: &uid(0xb, at),
                version: &version.to_string(),
            },
            into,
        );
    }

    /// A pod with GPUs, by its number among these.
    pub(crate) fn gpu_pod(&self, at: u32, stage: Stage, version: u64) -> String {
        let mut text = String::new();
        self.pod(at * GPU_EVERY, stage, version, &mut text);
        text
    }

    /// How many pods have GPUs.
    pub(crate) fn gpu_pods(&self) -> u32 {
        self.pods.div_ceil(GPU_EVERY)
    }

    /// The text of a namespace.
    pub(crate) fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// `ExtenderArgs` for a pod and this many nodes, from the whole cluster in random order.
    pub(crate) fn filter_question(&self, names: u32) -> String {
        let nodes = self.in_no_order().take(names as usize);
        question(&self.gpu_pod(0, Stage::Waiting, 1), nodes)
    }

    /// The same with nodes of one kind only, as in-tree filters leave them.
    pub(crate) fn question_of_a_kind(&self, kind: usize, names: u32) -> String {
        let alike = self
            .in_no_order()
            .filter(|node| KINDS[*node as usize % KINDS.len()] == KINDS[kind]);
        let pod = self.gpu_pod(u32::try_from(kind).unwrap_or_default(), Stage::Waiting, 1);
        question(&pod, alike.take(names as usize))
    }

    /// Every node once.
    fn in_no_order(&self) -> impl Iterator<Item = u32> {
        // A step that is coprime with the count visits each node once.
        let far = self.nodes * 5 / 8;
        let step = (far..far + self.nodes)
            .find(|step| gcd(*step, self.nodes) == 1)
            .unwrap_or(1);
        (0..self.nodes).map(move |at| {
            let node = u64::from(at) * u64::from(step) % u64::from(self.nodes);
            u32::try_from(node).unwrap_or_default()
        })
    }
}

/// `ExtenderArgs` of a scheduler with `nodeCacheCapable: true`.
fn question(pod: &str, nodes: impl Iterator<Item = u32>) -> String {
    let mut question = format!(r#"{{"Pod":{pod},"Nodes":null,"NodeNames":["#);
    for (at, node) in nodes.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(question, r#"{comma}"{}""#, Cluster::node_name(node));
    }
    question.push_str("]}");
    question
}

/// An `AdmissionReview` of a pod creation. It is a dry run, so every call meets the same state.
pub(crate) fn review() -> anyhow::Result<String> {
    let mut review: Value = serde_json::from_str(include_str!(
        "../../tests/data/recorded/admission/pod-create-gpu-1.json"
    ))?;
    let request = &mut review["request"];
    request["namespace"] = json!("train");
    request["dryRun"] = json!(true);
    request["object"]["metadata"]["namespace"] = json!("train");
    let size = review.to_string().len();
    pad_fields(&mut review["request"]["object"], POD_BYTES.saturating_sub(size));
    Ok(review.to_string())
}

fn of_any_name(mut node: Value) -> Value {
    let own = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    node["metadata"]["name"] = json!(Gap::Name.mark());
    node["metadata"]["uid"] = json!(Gap::Uid.mark());
    node["metadata"]["resourceVersion"] = json!(Gap::Version.mark());
    if node["metadata"]["labels"]["kubernetes.io/hostname"] == own {
        node["metadata"]["labels"]["kubernetes.io/hostname"] = json!(Gap::Name.mark());
    }
    let mut images = Vec::new();
    let size = node.to_string().len();
    let mut more = 0;
    while size + more < NODE_BYTES {
        let image = format!(
            "registry.fjord.example/team-{:02}/service-{:02}",
            images.len() % 7,
            images.len()
        );
        let image = json!({"names": [format!("{image}@sha256:{:064x}", images.len()), format!("{image}:v1.4.{}", images.len())],
            "sizeBytes": 123_456_789 + images.len()});
        more += image.to_string().len() + 1;
        images.push(image);
    }
    node["status"]["images"] = json!(images);
    node
}

fn pod_templates(mut pod: Value) -> PodTemplates {
    for key in ["name", "uid", "resourceVersion"] {
        let gap = match key {
            "name" => Gap::Name,
            "uid" => Gap::Uid,
            _ => Gap::Version,
        };
        pod["metadata"][key] = json!(gap.mark());
    }
    keep_to_policy(&mut pod);
    pod["spec"]["nodeName"] = json!(Gap::Node.mark());
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        for side in ["limits", "requests"] {
            // One each, so that a node can hold six such pods.
            if let Some(count) = container["resources"][side].get_mut("nvidia.com/gpu") {
                *count = json!("1");
            }
        }
    }
    let size = pod.to_string().len();
    pad_fields(&mut pod, POD_BYTES.saturating_sub(size));
    let bound = Template::of(&pod);
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("nodeName");
    }
    pod["status"] = json!({"phase": "Pending", "qosClass": "Burstable"});
    PodTemplates {
        bound,
        waiting: Template::of(&pod),
    }
}

/// Pods with whole GPUs and MIG devices have the node affinity that the webhook sets.
fn keep_to_policy(pod: &mut Value) {
    let text = pod["spec"]["containers"].to_string();
    let expressions = if text.contains("nvidia.com/mig-1g.10gb") {
        json!([{"key": "nvidia.com/mig-1g.10gb.sharing-strategy", "operator": "NotIn", "values": ["time-slicing"]}])
    } else if text.contains(r#""nvidia.com/gpu""#) {
        json!([{"key": "nvidia.com/gpu.sharing-strategy", "operator": "In", "values": ["none"]},
            {"key": "nvidia.com/gpu.slices.gi", "operator": "DoesNotExist"}])
    } else {
        return;
    };
    let required = json!({"nodeSelectorTerms": [{"matchExpressions": expressions}]});
    pod["spec"]["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
}

/// Pads with `managedFields`, which are a large part of stored objects and which Apportion does not
/// read.
fn pad_fields(pod: &mut Value, bytes: usize) {
    let mut fields = serde_json::Map::new();
    let mut size = 0;
    while size < bytes {
        let name = format!("f:field-of-some-length-{}", fields.len());
        size += name.len() + 38;
        fields.insert(name, json!({".": {}, "f:name": {}, "f:value": {}}));
    }
    pod["metadata"]["managedFields"] = json!([{"manager": "kube-controller-manager", "operation": "Update",
        "apiVersion": "v1", "time": "2026-10-18T12:33:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}}]);
}

fn uid(kind: u32, at: u32) -> String {
    format!("{at:08x}-{kind:04x}-4c1d-9e2f-{:012x}", u64::from(at) * 7919)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
