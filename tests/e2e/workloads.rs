//! Pods of controllers, and pods with several containers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{Cluster, asks, until};
use crate::policies::right_nodes;
use crate::world::{World, gpus, spec};

/// Asserts that all pods are on nodes that their policy allows.
pub(crate) fn all_right(pods: &[Value], policy: &str) {
    let right: BTreeSet<&str> = right_nodes(policy).iter().copied().collect();
    for (node, _) in Cluster::nodes_of(pods) {
        assert!(right.contains(node.as_str()), "{policy}: a pod on {node}");
    }
}

pub(crate) async fn deployment(world: &World) {
    world.cluster.governed("deployment-e2e", "inference").await;
    let manifest = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: server, namespace: deployment-e2e}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: server}}}}
  template: {{metadata: {{labels: {{app: server}}}}, spec: {}}}
",
        spec(&gpus(1), "{}")
    );
    world.kubectl.create(&manifest).await.fine();
    let pods = world.cluster.all_bound("deployment-e2e", "app=server", 3).await;
    all_right(&pods, "inference");
    for pod in &pods {
        assert_eq!(asks(pod), ["mig-1g.10gb 1"]);
    }
    let args = [
        "-n",
        "deployment-e2e",
        "rollout",
        "status",
        "deployment/server",
        "--timeout=30s",
    ];
    let said = world.kubectl.run(&args).await.fine();
    assert!(said.out.ends_with("successfully rolled out\n"), "{}", said.out);
    world.cluster.clear("deployment-e2e").await;
}

pub(crate) async fn stateful_set(world: &World) {
    world.cluster.governed("stateful-e2e", "development").await;
    let manifest = format!(
        "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: notebook, namespace: stateful-e2e}}
spec:
  serviceName: notebook
  replicas: 2
  selector: {{matchLabels: {{app: notebook}}}}
  template: {{metadata: {{labels: {{app: notebook}}}}, spec: {}}}
",
        spec(&gpus(2), "{}")
    );
    world.kubectl.create(&manifest).await.fine();
    let pods = world.cluster.all_bound("stateful-e2e", "app=notebook", 2).await;
    all_right(&pods, "development");
    let names: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["notebook-0", "notebook-1"]));
    world.cluster.clear("stateful-e2e").await;
}

pub(crate) async fn job(world: &World) {
    world.cluster.governed("job-e2e", "training").await;
    let spec = spec(&gpus(1), "{}").replacen('{', "{restartPolicy: Never, ", 1);
    let manifest = format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: train, namespace: job-e2e}}
spec: {{completions: 4, parallelism: 2, template: {{spec: {spec}}}}}
"
    );
    world.kubelet.finish_jobs(true);
    world.kubectl.create(&manifest).await.fine();
    let args = [
        "-n",
        "job-e2e",
        "wait",
        "job/train",
        "--for=condition=Complete",
        "--timeout=50s",
    ];
    world.kubectl.run(&args).await.fine();
    world.kubelet.finish_jobs(false);
    let pods = world.cluster.labelled("job-e2e", "job-name=train").await.unwrap();
    assert_eq!(pods.len(), 4);
    all_right(&pods, "training");
    world.cluster.clear("job-e2e").await;
}

/// Init containers and sidecars are rewritten too; a container without GPUs is not.
pub(crate) async fn sidecar_and_init_container(world: &World) {
    world.cluster.governed("sidecar-e2e", "multi-tenant").await;
    let manifest = "apiVersion: v1
kind: Pod
metadata: {name: rag, namespace: sidecar-e2e}
spec:
  tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
  initContainers:
  - {name: load, image: i, resources: {limits: {nvidia.com/gpu: 1}}}
  - {name: guard, image: i, restartPolicy: Always, resources: {limits: {nvidia.com/gpu: 1}}}
  containers:
  - {name: llm, image: i, resources: {limits: {nvidia.com/gpu: 1, cpu: 1}}}
  - {name: log, image: i}
";
    world.kubectl.create(manifest).await.fine();
    let pod = world.cluster.bound("sidecar-e2e", "rag").await;
    assert_eq!(asks(&pod), ["mig-1g.10gb 1", "mig-1g.10gb 1", "mig-1g.10gb 1", ""]);
    assert_eq!(pod["spec"]["containers"][0]["resources"]["limits"]["cpu"], "1");
    all_right(&[pod], "multi-tenant");
    world.cluster.clear("sidecar-e2e").await;
}

/// The name is generated after admission, so nothing may depend on it.
pub(crate) async fn generate_name(world: &World) {
    world.cluster.governed("generated-e2e", "development").await;
    let manifest = format!(
        "apiVersion: v1
kind: Pod
metadata: {{generateName: try-, namespace: generated-e2e, labels: {{app: try}}}}
spec: {}
",
        spec(&gpus(1), "{}")
    );
    for _ in 0..3 {
        world.kubectl.create(&manifest).await.fine();
    }
    let pods = world.cluster.all_bound("generated-e2e", "app=try", 3).await;
    all_right(&pods, "development");
    world.cluster.clear("generated-e2e").await;
}

/// Dry runs get the full answer and take nothing: after eight of them, the eight devices of `a30-1`
/// are still free.
pub(crate) async fn dry_run(world: &World) {
    world.cluster.governed("dry-run-e2e", "inference").await;
    let a30 = "{nvidia.com/gpu.product: NVIDIA-A30}";
    let manifest = |name: &str| crate::world::pod_with("dry-run-e2e", name, &gpus(1), a30);
    for _ in 0..8 {
        let args = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
        let said = world.kubectl.feed(&args, &manifest("dry")).await.fine();
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(asks(&answer), ["mig-2g.12gb 1"]);
    }
    let pods = world.cluster.pods("dry-run-e2e");
    assert!(pods.get_opt("dry").await.unwrap().is_none());
    let said = world.kubectl.create(&manifest("real")).await.fine();
    assert_eq!(
        said.err,
        "Warning: apportion (inference): nvidia.com/gpu 1 -> nvidia.com/mig-2g.12gb 1: a hardware partition of its own\n"
    );
    let pod = world.cluster.bound("dry-run-e2e", "real").await;
    assert_eq!(pod["spec"]["nodeName"], "a30-1");
    until("the pod to run", async || {
        (world.cluster.pod("dry-run-e2e", "real").await["status"]["phase"] == "Running").then_some(())
    })
    .await;
    world.cluster.clear("dry-run-e2e").await;
}
