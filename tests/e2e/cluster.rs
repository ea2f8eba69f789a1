//! The example cluster on a real API server: its nodes with the labels and resources that GPU
//! feature discovery and device plugins set, and its namespaces. Scenarios create their own pods.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Node, Pod, ResourceQuota, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The timeout of every wait in a scenario.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster/cluster.json");

/// The objects of a cluster, through an admin client.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    examples: BTreeMap<String, Value>,
}

impl Cluster {
    /// Fills an empty cluster.
    pub(crate) async fn fill(client: Client) -> Self {
        let dump: Value = serde_json::from_str(&std::fs::read_to_string(EXAMPLE).unwrap()).unwrap();
        let items = dump["items"].as_array().unwrap();
        let named = |kind: &str| {
            items
                .iter()
                .filter(|item| item["kind"] == kind)
                .map(|item| (item["metadata"]["name"].as_str().unwrap().to_owned(), item.clone()))
                .collect::<BTreeMap<String, Value>>()
        };
        let cluster = Cluster {
            client,
            examples: named("Node"),
        };
        for name in cluster.examples.keys() {
            cluster.node(name, name).await;
        }
        for (name, namespace) in named("Namespace") {
            let labels = namespace["metadata"]["labels"].clone();
            cluster.namespace(&name, labels).await;
        }
        cluster
    }

    /// Creates a node like one of the example, with another name.
    pub(crate) async fn node(&self, like: &str, name: &str) {
        let mut node = self.examples[like].clone();
        let mut labels = node["metadata"]["labels"].clone();
        labels["kubernetes.io/hostname"] = json!(name);
        node["metadata"] = json!({"name": name, "labels": labels});
        node["spec"]["providerID"] = json!(format!("fjord://{name}"));
        node["spec"].as_object_mut().unwrap().remove("podCIDR");
        node["spec"].as_object_mut().unwrap().remove("podCIDRs");
        let (status, taints) = (node["status"].take(), node["spec"]["taints"].clone());
        let nodes: Api<Node> = Api::all(self.client.clone());
        let created: Node = serde_json::from_value(node).unwrap();
        nodes.create(&PostParams::default(), &created).await.unwrap();
        let params = PatchParams::default();
        nodes
            .patch_status(name, &params, &Patch::Merge(json!({"status": status})))
            .await
            .unwrap();
        // Admission taints every new node as not ready, and the controller that removes the taint
        // is off.
        let taints = json!({"spec": {"taints": taints}});
        nodes.patch(name, &params, &Patch::Merge(taints)).await.unwrap();
    }

    /// Creates or labels a namespace, and waits until pods can be created in it.
    pub(crate) async fn namespace(&self, name: &str, labels: Value) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let params = PatchParams::apply("e2e").force();
        namespaces.patch(name, &params, &Patch::Apply(namespace)).await.unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), name);
        until("the service account of a namespace", async || {
            accounts.get_opt("default").await.ok()?
        })
        .await;
    }

    /// Creates a namespace and waits until `policy` governs it. Returns how long that took.
    pub(crate) async fn governed(&self, name: &str, policy: &str) -> Duration {
        self.namespace(name, json!({"apportion.dev/policy": policy})).await;
        let start = Instant::now();
        let what = format!("namespace {name} to be governed by {policy}");
        until(&what, async || (self.policy_of(name).await? == policy).then_some(())).await;
        start.elapsed()
    }

    /// The policy that governs a pod of this namespace, by a dry run.
    pub(crate) async fn policy_of(&self, namespace: &str) -> Option<String> {
        let probe = json!({
            "metadata": {"name": "probe"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
        });
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let answer = self
            .pods(namespace)
            .create(&params, &serde_json::from_value(probe).unwrap())
            .await
            .ok()?;
        let decision: Value = serde_json::from_str(answer.annotations().get("apportion.dev/decision")?).ok()?;
        Some(decision["policy"].as_str()?.to_owned())
    }

    /// Changes labels of a node; `null` removes one.
    pub(crate) async fn label_node(&self, name: &str, labels: Value) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        nodes.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A pod as JSON.
    pub(crate) async fn pod(&self, namespace: &str, name: &str) -> Value {
        serde_json::to_value(self.pods(namespace).get(name).await.unwrap()).unwrap()
    }

    /// The pod, once it has a node.
    pub(crate) async fn bound(&self, namespace: &str, name: &str) -> Value {
        let what = format!("pod {namespace}/{name} to get a node");
        until(&what, async || {
            let pod = serde_json::to_value(self.pods(namespace).get(name).await.ok()?).ok()?;
            pod["spec"]["nodeName"].is_string().then_some(pod)
        })
        .await
    }

    /// All pods with a label, once there are `count` and all are bound.
    pub(crate) async fn all_bound(&self, namespace: &str, selector: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} pods of {namespace} ({selector}) to get nodes");
        until(&what, async || {
            let all = self.labelled(namespace, selector).await?;
            let bound = all.iter().filter(|pod| pod["spec"]["nodeName"].is_string()).count();
            (bound == count && all.len() == count).then_some(all)
        })
        .await
    }

    /// The pods with a label.
    pub(crate) async fn labelled(&self, namespace: &str, selector: &str) -> Option<Vec<Value>> {
        let params = ListParams::default().labels(selector);
        let list = self.pods(namespace).list(&params).await.ok()?;
        list.into_iter().map(|pod| serde_json::to_value(pod).ok()).collect()
    }

    /// The message of the scheduler about a waiting pod.
    pub(crate) async fn waits(&self, namespace: &str, name: &str) -> String {
        let what = format!("pod {namespace}/{name} to be found unschedulable");
        until(&what, async || {
            let pod = serde_json::to_value(self.pods(namespace).get(name).await.ok()?).ok()?;
            let conditions = pod["status"]["conditions"].as_array()?;
            let scheduled = conditions.iter().find(|one| one["type"] == "PodScheduled")?;
            (scheduled["status"] == "False").then(|| scheduled["message"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// Removes all pods of a namespace, their owners and quotas, so that the next scenario finds
    /// free GPUs.
    pub(crate) async fn clear(&self, namespace: &str) {
        self.wipe::<Job>(namespace).await;
        self.wipe::<Deployment>(namespace).await;
        self.wipe::<StatefulSet>(namespace).await;
        self.wipe::<LimitRange>(namespace).await;
        self.wipe::<ResourceQuota>(namespace).await;
        let pods = self.pods(namespace);
        let now = DeleteParams::default().grace_period(0);
        until("the pods of a scenario to go", async || {
            // Controllers create pods until they are deleted themselves.
            pods.delete_collection(&now, &ListParams::default()).await.ok()?;
            let left = pods.list_metadata(&ListParams::default()).await.ok()?;
            left.items.is_empty().then_some(())
        })
        .await;
    }

    async fn wipe<K>(&self, namespace: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let all: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams::background();
        all.delete_collection(&params, &ListParams::default()).await.unwrap();
    }

    /// The number of pods on each node.
    pub(crate) fn nodes_of(pods: &[Value]) -> BTreeMap<String, usize> {
        let mut nodes = BTreeMap::new();
        for pod in pods {
            let node = pod["spec"]["nodeName"].as_str().unwrap_or("(none)");
            *nodes.entry(node.to_owned()).or_default() += 1;
        }
        nodes
    }
}

/// Polls until there is a value, or panics at the timeout.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The GPU resources of each container of a pod, in its order: init containers, then containers.
pub(crate) fn asks(pod: &Value) -> Vec<String> {
    let containers = ["initContainers", "containers"]
        .iter()
        .filter_map(|kind| pod["spec"][*kind].as_array())
        .flatten();
    containers
        .map(|container| {
            let gpus = |side: &str| {
                let Some(resources) = container["resources"][side].as_object() else {
                    return String::new();
                };
                let found: Vec<String> = resources
                    .iter()
                    .filter_map(|(name, count)| {
                        Some(format!("{} {}", name.strip_prefix("nvidia.com/")?, count.as_str()?))
                    })
                    .collect();
                found.join(", ")
            };
            let (requests, limits) = (gpus("requests"), gpus("limits"));
            assert_eq!(requests, limits, "requests and limits of {}", container["name"]);
            limits
        })
        .collect()
}
