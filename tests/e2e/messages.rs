//! Messages as `kubectl` prints them.

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
    world.cluster.clear("warned-e2e").await;
}

/// More than a node has: our warning, and the message of the in-tree filter.
pub(crate) async fn waiting(world: &World) {
    let namespace = "waiting-e2e";
    world.cluster.governed(namespace, "inference").await;
    let nine = "{resources: {limits: {nvidia.com/mig-2g.12gb: 9}}}";
    let manifest = pod_with(namespace, "large", nine, "{kubernetes.io/hostname: a30-1}");
    let said = world.kubectl.create(&manifest).await.fine();
    println!("      {}", said.err.trim_end().replace('\n', "\n      "));
    assert!(said.err.contains("the pod waits for one"), "{}", said.err);
    let message = world.cluster.waits(namespace, "large").await;
    println!("      {message}");
    assert!(message.contains("1 Insufficient nvidia.com/mig-2g.12gb"), "{message}");
    world.cluster.clear(namespace).await;
}
