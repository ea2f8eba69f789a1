//! Changes to existing pods pass the webhook unchanged.

use serde_json::{Value, json};

use crate::cluster::{asks, until};
use crate::world::{World, gpus, pod};

async fn running(world: &World, namespace: &str, name: &str, container: &str) -> Value {
    world.kubectl.create(&pod(namespace, name, container)).await.fine();
    world.cluster.bound(namespace, name).await
}

pub(crate) async fn resize(world: &World) {
    let namespace = "resize-e2e";
    world.cluster.governed(namespace, "development").await;
    let container = "{resources: {requests: {cpu: 100m}, limits: {cpu: 200m, nvidia.com/gpu: 2}}}";
    let before = running(world, namespace, "notebook", container).await;
    let patch = r#"{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"150m"}}}]}}"#;
    let args = [
        "-n",
        namespace,
        "patch",
        "pod",
        "notebook",
        "--subresource=resize",
        "-p",
        patch,
    ];
    let said = world.kubectl.run(&args).await.fine();
    assert_eq!(said.err, "");
    let after = world.cluster.pod(namespace, "notebook").await;
    assert_eq!(after["spec"]["containers"][0]["resources"]["requests"]["cpu"], "150m");
    assert_eq!(asks(&after), asks(&before));
    world.cluster.clear(namespace).await;
}

pub(crate) async fn debug(world: &World) {
    let namespace = "debug-e2e";
    world.cluster.governed(namespace, "development").await;
    let before = running(world, namespace, "notebook", &gpus(1)).await;
    let args = [
        "-n",
        namespace,
        "debug",
        "notebook",
        "--image=busybox",
        "-c",
        "look",
        "--profile=general",
    ];
    world.kubectl.run(&args).await.fine();
    let after = world.cluster.pod(namespace, "notebook").await;
    assert_eq!(after["spec"]["ephemeralContainers"][0]["name"], "look");
    assert_eq!(after["spec"]["containers"], before["spec"]["containers"]);
    world.cluster.clear(namespace).await;
}

pub(crate) async fn update(world: &World) {
    let namespace = "update-e2e";
    world.cluster.governed(namespace, "development").await;
    let before = running(world, namespace, "notebook", &gpus(1)).await;
    let args = ["-n", namespace, "label", "pod", "notebook", "owner=ada"];
    world.kubectl.run(&args).await.fine();
    let after = world.cluster.pod(namespace, "notebook").await;
    assert_eq!(after["metadata"]["labels"]["owner"], "ada");
    assert_eq!(after["spec"], before["spec"]);
    world.cluster.clear(namespace).await;
}

pub(crate) async fn eviction(world: &World) {
    let namespace = "eviction-e2e";
    world.cluster.governed(namespace, "development").await;
    running(world, namespace, "notebook", &gpus(1)).await;
    let pods = world.cluster.pods(namespace);
    pods.evict("notebook", &kube::api::EvictParams::default())
        .await
        .unwrap();
    until("the evicted pod to go", async || {
        matches!(pods.get_opt("notebook").await, Ok(None)).then_some(())
    })
    .await;
    world.cluster.clear(namespace).await;
}

/// Another scheduler binds a pod through `pods/binding`.
pub(crate) async fn binding(world: &World) {
    let namespace = "binding-e2e";
    world.cluster.governed(namespace, "development").await;
    let manifest = pod(namespace, "notebook", &gpus(1)).replacen("spec: {", "spec: {schedulerName: none, ", 1);
    world.kubectl.create(&manifest).await.fine();
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": "notebook", "namespace": namespace},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "l4-slices"},
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/notebook/binding");
    let args = ["create", "--raw", &path, "-f", "-"];
    world.kubectl.feed(&args, &binding.to_string()).await.fine();
    let bound = world.cluster.bound(namespace, "notebook").await;
    assert_eq!(bound["spec"]["nodeName"], "l4-slices");
    world.cluster.clear(namespace).await;
}
