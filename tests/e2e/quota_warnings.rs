//! `LimitRange` and `ResourceQuota` with rewritten resources.

use crate::cluster::{asks, until};
use crate::world::{World, gpus, pod};

/// `LimitRanger` runs before the webhook and, since the webhook changed the pod, once more after
/// it: it puts back what was rewritten, unless the webhook is called again too.
pub(crate) async fn limit_range_default(world: &World) {
    let namespace = "limit-default-e2e";
    world.cluster.governed(namespace, "multi-tenant").await;
    limit(
        world,
        namespace,
        "default: {nvidia.com/gpu: 1}, defaultRequest: {nvidia.com/gpu: 1}",
    )
    .await;
    world.kubectl.create(&pod(namespace, "asks", &gpus(1))).await.fine();
    let bound = world.cluster.bound(namespace, "asks").await;
    assert_eq!(asks(&bound), ["mig-1g.10gb 1"]);
    // A pod without GPUs gets one from the LimitRange, which is rewritten too.
    world.kubectl.create(&pod(namespace, "silent", "{}")).await.fine();
    let bound = world.cluster.bound(namespace, "silent").await;
    assert_eq!(asks(&bound), ["mig-1g.10gb 1"]);
    world.cluster.clear(namespace).await;
}

/// A maximum for the old name requires a limit for it, so the API server refuses the rewritten pod
/// with a message.
pub(crate) async fn limit_range_max(world: &World) {
    let namespace = "limit-max-e2e";
    world.cluster.governed(namespace, "multi-tenant").await;
    limit(world, namespace, "max: {nvidia.com/gpu: 2}").await;
    let said = world.kubectl.create(&pod(namespace, "asks", &gpus(1))).await;
    assert!(!said.ok);
    let words = "maximum nvidia.com/gpu usage per Container is 2.  No limit is specified";
    assert!(said.err.contains(words), "{}", said.err);
    world.cluster.clear(namespace).await;
}

async fn limit(world: &World, namespace: &str, limits: &str) {
    let manifest = format!(
        "apiVersion: v1
kind: LimitRange
metadata: {{name: gpus, namespace: {namespace}}}
spec: {{limits: [{{type: Container, {limits}}}]}}
"
    );
    world.kubectl.create(&manifest).await.fine();
    // The admission plugin learns it from a watch.
    until("the LimitRange to take effect", async || {
        let args = ["create", "--dry-run=server", "-o", "name", "-f", "-"];
        let probe = pod(namespace, "probe", "{resources: {limits: {nvidia.com/gpu: 3}}}");
        let silent = pod(namespace, "probe", "{}");
        let denied = !world.kubectl.feed(&args, &probe).await.ok;
        let args = ["create", "--dry-run=server", "-o", "yaml", "-f", "-"];
        let given = world.kubectl.feed(&args, &silent).await.out.contains("nvidia.com/");
        (denied || given).then_some(())
    })
    .await;
}

/// Quota counts the rewritten resources.
pub(crate) async fn quota(world: &World) {
    let namespace = "quota-e2e";
    world.cluster.governed(namespace, "multi-tenant").await;
    let manifest = format!(
        "apiVersion: v1
kind: ResourceQuota
metadata: {{name: gpus, namespace: {namespace}}}
spec: {{hard: {{requests.nvidia.com/gpu: 0, requests.nvidia.com/mig-1g.10gb: 1}}}}
"
    );
    world.kubectl.create(&manifest).await.fine();
    until("the quota to be counted", async || {
        let args = [
            "-n",
            namespace,
            "get",
            "resourcequota",
            "gpus",
            "-o",
            "jsonpath={.status.hard}",
        ];
        world.kubectl.run(&args).await.out.contains("mig-1g.10gb").then_some(())
    })
    .await;
    world.kubectl.create(&pod(namespace, "first", &gpus(1))).await.fine();
    let bound = world.cluster.bound(namespace, "first").await;
    assert_eq!(asks(&bound), ["mig-1g.10gb 1"]);
    let said = world.kubectl.create(&pod(namespace, "second", &gpus(1))).await;
    assert!(!said.ok);
    let words = "exceeded quota: gpus, requested: requests.nvidia.com/mig-1g.10gb=1, used: requests.nvidia.com/mig-1g.10gb=1, limited: requests.nvidia.com/mig-1g.10gb=1";
    assert!(said.err.contains(words), "{}", said.err);
    world.cluster.clear(namespace).await;
}
