//! The four shipped policies, from `kubectl create` to a node.

use crate::cluster::asks;
use crate::world::{World, gpus, pod, pod_with};

/// The nodes of the example where a policy's pods may run, written by hand.
pub(crate) fn right_nodes(policy: &str) -> &'static [&'static str] {
    match policy {
        "training" => &["a100-1", "a100-2", "h100-1", "a100-split"],
        "multi-tenant" => &["a100-mig", "a100-split", "a30-1"],
        "development" => &["l4-slices", "t4-slices"],
        "inference" => &["a100-mig", "a100-split", "a30-1", "t4-mps", "v100-mps"],
        other => panic!("no policy {other}"),
    }
}

/// Creates a pod from an example file. Returns the output of `kubectl`, the rewritten resources and
/// the node.
async fn example(world: &World, namespace: &str, name: &str, file: &str) -> (String, Vec<String>, String) {
    let file = format!("examples/pods/{file}");
    let said = world.kubectl.run(&["create", "-f", &file]).await.fine();
    assert_eq!(said.out, format!("pod/{name} created\n"));
    let bound = world.cluster.bound(namespace, name).await;
    let node = bound["spec"]["nodeName"].as_str().unwrap().to_owned();
    (said.err, asks(&bound), node)
}

pub(crate) async fn training(world: &World) {
    let (warning, asks_now, node) = example(world, "vision-train", "resnet-152", "training-eight-gpus.yaml").await;
    assert_eq!(asks_now, ["gpu 8"]);
    assert!(["a100-1", "a100-2", "h100-1"].contains(&node.as_str()), "{node}");
    assert_eq!(warning, "");
    let (warning, asks_now, node) = example(world, "vision-train", "distill", "training-mig-slices.yaml").await;
    assert_eq!(asks_now, ["gpu 1"]);
    assert!(right_nodes("training").contains(&node.as_str()), "{node}");
    assert!(
        warning.starts_with("Warning: apportion (training): nvidia.com/mig-"),
        "{warning}"
    );
}

pub(crate) async fn multi_tenant(world: &World) {
    let (warning, asks_now, node) = example(world, "acme", "api-0", "tenant-whole-gpu.yaml").await;
    assert_eq!(asks_now, ["mig-1g.10gb 1"]);
    assert!(["a100-mig", "a100-split"].contains(&node.as_str()), "{node}");
    assert_eq!(
        warning,
        "Warning: apportion (multi-tenant): nvidia.com/gpu 1 -> nvidia.com/mig-1g.10gb 1: a hardware partition of its own\n"
    );
}

pub(crate) async fn development(world: &World) {
    let (warning, asks_now, node) = example(world, "playground", "notebook", "notebook-four-gpus.yaml").await;
    let (resource, expected) = match node.as_str() {
        "l4-slices" => ("nvidia.com/gpu.shared 1", ["gpu.shared 1"]),
        "t4-slices" => ("nvidia.com/gpu 1", ["gpu 1"]),
        other => panic!("on {other}"),
    };
    assert_eq!(asks_now, expected);
    assert_eq!(
        warning,
        format!(
            "Warning: apportion (development): nvidia.com/gpu 4 -> {resource}: time-slicing; more shares give no more compute\n"
        )
    );
}

pub(crate) async fn inference(world: &World) {
    world.cluster.governed("inference-e2e", "inference").await;
    let create = async |name: &str, selector: &str| -> (Vec<String>, String) {
        let manifest = pod_with("inference-e2e", name, &gpus(1), selector);
        world.kubectl.create(&manifest).await.fine();
        let bound = world.cluster.bound("inference-e2e", name).await;
        (asks(&bound), bound["spec"]["nodeName"].as_str().unwrap().to_owned())
    };
    let (asks_now, node) = create("anywhere", "{}").await;
    assert_eq!(asks_now, ["mig-1g.10gb 1"]);
    assert!(["a100-mig", "a100-split"].contains(&node.as_str()), "{node}");
    // MPS where the product has no MIG: renamed on the T4, not renamed on the V100.
    let t4 = create("t4", "{nvidia.com/gpu.product: Tesla-T4}").await;
    assert_eq!(t4, (vec!["gpu.shared 1".to_owned()], "t4-mps".to_owned()));
    let v100 = create("v100", "{nvidia.com/gpu.product: Tesla-V100-SXM2-16GB-SHARED}").await;
    assert_eq!(v100, (vec!["gpu 1".to_owned()], "v100-mps".to_owned()));
    let a30 = create("a30", "{nvidia.com/gpu.product: NVIDIA-A30}").await;
    assert_eq!(a30, (vec!["mig-2g.12gb 1".to_owned()], "a30-1".to_owned()));
    world.cluster.clear("inference-e2e").await;
}

/// An ungoverned pod keeps its resources, wherever it runs.
pub(crate) async fn ungoverned(world: &World) {
    let said = world.kubectl.create(&pod("legacy", "old", &gpus(2))).await.fine();
    assert_eq!(said.err, "");
    let bound = world.cluster.bound("legacy", "old").await;
    assert_eq!(asks(&bound), ["gpu 2"]);
    assert!(bound["metadata"]["annotations"]["apportion.dev/decision"].is_null());
}
