//! `map`, `replay`, `explain`, `lint` and `audit` on a live cluster, compared with the objects on
//! the API server.

mod access;
mod audit;
mod explain_and_lint;
mod map;
mod replay;

pub(crate) use access::access;
pub(crate) use audit::audit;
pub(crate) use explain_and_lint::explain_and_lint;
pub(crate) use map::map;
pub(crate) use replay::replay;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::cluster::{asks, until};
use crate::verbs::Verbs;
use crate::world::{World, gpus, pod, spec};

/// A namespace for notebooks that share GPUs by a policy that exists only in the cluster.
const TURNS: &str = "insight-turns";
const TENANT: &str = "insight-tenant";
const TRAINING: &str = "insight-training";
/// An ungoverned namespace.
const FREE: &str = "insight-free";
const NOTEBOOKS: usize = 10;

/// The policy of the notebooks.
fn turns(rules: &str) -> String {
    format!(
        "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: turns}}\nspec: {{strategies: [{rules}]}}\n"
    )
}

const SLICES: &str = "{strategy: time-slicing}";
/// The cluster has one such node, with eight GPUs.
const H100: &str = "{strategy: exclusive, products: [H100]}";

fn notebook(at: usize) -> String {
    pod(TURNS, &format!("notebook-{at}"), &gpus(1))
}

fn admin(world: &World) -> Verbs {
    Verbs::new(world.plane.kubeconfig("admin"))
}

/// Creates pods in four namespaces and waits until they run.
pub(crate) async fn prepare(world: &World) {
    let (cluster, kubectl) = (&world.cluster, &world.kubectl);
    kubectl.create(&turns(SLICES)).await.fine();
    cluster.governed(TURNS, "turns").await;
    cluster.governed(TENANT, "multi-tenant").await;
    cluster.governed(TRAINING, "training").await;
    cluster.namespace(FREE, json!({})).await;
    let bot = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: bot, namespace: {TENANT}}}\nspec: {{replicas: 3, \
         selector: {{matchLabels: {{app: bot}}}}, template: {{metadata: {{labels: {{app: bot}}}}, spec: {}}}}}\n",
        spec(&gpus(1), "{}")
    );
    let mut manifests: Vec<String> = (0..NOTEBOOKS).map(notebook).collect();
    manifests.push(bot);
    manifests.push(pod(TRAINING, "sft", &gpus(2)));
    let on_a100 = crate::world::pod_with(
        FREE,
        "jupyter",
        &gpus(1),
        "{nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}",
    );
    manifests.push(on_a100);
    kubectl.create(&manifests.join("---\n")).await.fine();
    for at in 0..NOTEBOOKS {
        cluster.bound(TURNS, &format!("notebook-{at}")).await;
    }
    cluster.all_bound(TENANT, "app=bot", 3).await;
    cluster.bound(TRAINING, "sft").await;
    cluster.bound(FREE, "jupyter").await;
    until("all pods to run", async || {
        let pods = pods(world).await;
        pods.iter().all(|pod| pod["status"]["phase"] == "Running").then_some(())
    })
    .await;
}

/// Prints output, indented below its scenario.
fn show(text: &str) {
    for line in text.lines() {
        println!("      {line}");
    }
}

async fn pods(world: &World) -> Vec<Value> {
    let all: Api<Pod> = Api::all(world.cluster.client.clone());
    let list = all.list(&ListParams::default()).await.unwrap();
    list.into_iter().map(|pod| serde_json::to_value(pod).unwrap()).collect()
}

async fn nodes(world: &World) -> Vec<Value> {
    let all: Api<Node> = Api::all(world.cluster.client.clone());
    let list = all.list(&ListParams::default()).await.unwrap();
    list.into_iter()
        .map(|node| serde_json::to_value(node).unwrap())
        .collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The count by node, `namespace/pod` and resource. Pods in this suite have one container.
type Held = BTreeMap<(String, String, String), u64>;

/// The shares that pods hold, by their specs.
fn held(pods: &[Value]) -> Held {
    let mut found = Held::new();
    for pod in pods {
        let who = format!("{}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        for ask in asks(pod)
            .iter()
            .flat_map(|asks| asks.split(", "))
            .filter(|ask| !ask.is_empty())
        {
            let (resource, count) = ask.split_once(' ').unwrap();
            let node = text(pod, "/spec/nodeName").to_owned();
            found.insert(
                (node, who.clone(), format!("nvidia.com/{resource}")),
                count.parse().unwrap(),
            );
        }
    }
    found
}

/// The shares that pods hold, by the output of `map`.
fn drawn(map: &Value) -> Held {
    let list = |value: &Value, key: &str| value[key].as_array().unwrap().clone();
    let mut found = Held::new();
    for node in list(map, "groups").iter().flat_map(|group| list(group, "nodes")) {
        let offered = list(&node, "offers")
            .into_iter()
            .flat_map(|offer| list(&offer, "holders"));
        for holder in offered.chain(list(&node, "stray")) {
            let who = format!("{}/{}", text(&holder, "/namespace"), text(&holder, "/pod"));
            let key = (
                text(&node, "/name").to_owned(),
                who,
                text(&holder, "/resource").to_owned(),
            );
            *found.entry(key).or_default() += holder["shares"].as_u64().unwrap();
        }
    }
    found
}

/// Whether allocatable names a GPU resource. It stays with the value 0 while a node is
/// reconfigured.
fn has_gpus(node: &Value) -> bool {
    let allocatable = node["status"]["allocatable"].as_object().unwrap();
    allocatable.keys().any(|name| name.starts_with("nvidia.com/"))
}

/// The free shares of a resource on a node.
fn free(nodes: &[Value], held: &Held, node: &str, resource: &str) -> u64 {
    let found = nodes.iter().find(|one| text(one, "/metadata/name") == node).unwrap();
    let all: u64 = found["status"]["allocatable"][resource]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let taken = held.iter().filter(|((on, _, what), _)| on == node && what == resource);
    all - taken.map(|(_, count)| count).sum::<u64>()
}
