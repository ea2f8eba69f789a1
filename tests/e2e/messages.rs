//! What people read, word for word as `kubectl` prints it.

use crate::cluster::until;
use crate::world::{World, gpus, pod, pod_with};

pub(crate) async fn denied(world: &World) {
    let said = world
        .kubectl
        .run(&["create", "-f", "examples/pods/tenant-two-profiles.yaml"])
        .await;
    println!("      {}", said.err.trim_end());
    assert!(!said.ok && said.out.is_empty());
    let start = "Error from server (Forbidden): error when creating \"examples/pods/tenant-two-profiles.yaml\": \
                 admission webhook \"pods.apportion.dev\" denied the request: apportion (multi-tenant): spec.containers[0].resources.limits: asks for";
    assert!(said.err.starts_with(start), "{}", said.err);
    let said = world
        .kubectl
        .run(&["create", "-f", "examples/pods/tenant-pinned-t4.yaml"])
        .await;
    println!("      {}", said.err.trim_end());
    assert!(!said.ok, "{}", said.out);
}

pub(crate) async fn warned(world: &World) {
    world.cluster.governed("warned-e2e", "development").await;
    let said = world
        .kubectl
        .create(&pod("warned-e2e", "notebook", &gpus(4)))
        .await
        .fine();
    println!("      {}", said.err.trim_end());
    assert_eq!(
        said.err,
        "Warning: apportion (development): nvidia.com/gpu 4 -> nvidia.com/gpu.shared 1: time-slicing; more shares give no more compute\n"
    );
    world.kubectl.clear("warned-e2e").await;
}

/// A pod that has to wait says why, in its events, in our words.
pub(crate) async fn waiting(world: &World) {
    let namespace = "waiting-e2e";
    world.cluster.governed(namespace, "inference").await;
    let selector = "{kubernetes.io/hostname: a30-1}";
    let nine = "{resources: {limits: {nvidia.com/mig-2g.12gb: 9}}}";
    let said = world
        .kubectl
        .create(&pod_with(namespace, "large", nine, selector))
        .await;
    println!("      {}", said.err.trim_end());
    if said.ok {
        println!("      {}", world.cluster.waits(namespace, "large").await);
    }
    // In-tree filters pass what the extender alone knows: a MIG change is under way.
    let nodes = ("a30-1", "nvidia.com/mig.config.state");
    world
        .cluster
        .label_node(nodes.0, serde_json::json!({nodes.1: "pending"}))
        .await;
    let small = "{resources: {limits: {nvidia.com/mig-2g.12gb: 1}}}";
    until("the extender to see the MIG change", async || {
        let metrics = world.apportion.metrics().await?;
        metrics.contains("mig").then_some(())
    })
    .await;
    world
        .kubectl
        .create(&pod_with(namespace, "small", small, selector))
        .await
        .fine();
    let message = world.cluster.waits(namespace, "small").await;
    println!("      {message}");
    world
        .cluster
        .label_node(nodes.0, serde_json::json!({nodes.1: "success"}))
        .await;
    world.cluster.bound(namespace, "small").await;
    world.kubectl.clear(namespace).await;
}
