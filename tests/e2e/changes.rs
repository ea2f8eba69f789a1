//! Changes of namespaces, policies and nodes while pods run.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::{asks, until};
use crate::world::{World, gpus, pod, pod_with};

pub(crate) async fn namespace_relabelled(world: &World) {
    let namespace = "relabelled-e2e";
    let known = world.cluster.governed(namespace, "development").await;
    world.kubectl.create(&pod(namespace, "notebook", &gpus(2))).await.fine();
    let slice = world.cluster.bound(namespace, "notebook").await;
    assert_eq!(asks(&slice), ["gpu.shared 1"]);
    let relabelled = world.cluster.governed(namespace, "training").await;
    world.kubectl.create(&pod(namespace, "train", &gpus(2))).await.fine();
    let whole = world.cluster.bound(namespace, "train").await;
    assert_eq!(asks(&whole), ["gpu 2"]);
    assert_eq!(asks(&world.cluster.pod(namespace, "notebook").await), ["gpu.shared 1"]);
    println!("      a new namespace was governed after {known:.0?}, a relabelled one after {relabelled:.0?}");
    // Without the label it is not governed.
    world.cluster.namespace(namespace, json!({})).await;
    until("the namespace to be ungoverned", async || {
        world.cluster.policy_of(namespace).await.is_none().then_some(())
    })
    .await;
    world.kubectl.create(&pod(namespace, "free", &gpus(2))).await.fine();
    assert_eq!(asks(&world.cluster.pod(namespace, "free").await), ["gpu 2"]);
    world.cluster.clear(namespace).await;
}

/// A policy file is changed, broken and fixed. Invalid policies never replace the current ones.
pub(crate) async fn policy_file(world: &World) {
    let namespace = "policy-e2e";
    world.cluster.governed(namespace, "development").await;
    let policy = |strategy: &str| {
        format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: development}}\n\
             spec: {{strategies: [{{strategy: {strategy}}}]}}\n"
        )
    };
    let gets = async |expected: &str| {
        let what = format!("pods to get {expected}");
        until(&what, async || {
            let args = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
            let said = world
                .kubectl
                .feed(&args, &pod(namespace, "probe", &gpus(1)))
                .await
                .fine();
            let answer = serde_json::from_str(&said.out).unwrap();
            (asks(&answer) == [expected]).then_some(())
        })
        .await;
    };
    gets("gpu.shared 1").await;
    world.apportion.write_policy("development.yaml", &policy("exclusive"));
    gets("gpu 1").await;
    world.apportion.metric("apportion_last_reload_successful 1").await;
    world.apportion.write_policy("development.yaml", &policy("exclusiv"));
    world.apportion.metric("apportion_last_reload_successful 0").await;
    gets("gpu 1").await;
    world
        .apportion
        .write_policy("development.yaml", &policy("time-slicing"));
    gets("gpu.shared 1").await;
    world.apportion.metric("apportion_last_reload_successful 1").await;
}

/// A MIG reconfiguration begins between a pod's admission and its scheduling. Allocatable has not
/// changed yet, so in-tree filters pass. Only the extender keeps the pod away, with a reason, until
/// the reconfiguration ends.
pub(crate) async fn mig_reconfigured(world: &World) {
    let labels = |state: &str| json!({"nvidia.com/mig.config.state": state});
    let selector = "{nvidia.com/gpu.product: NVIDIA-A30}";
    kept_away(
        world,
        "inference",
        selector,
        "a30-1",
        labels("pending"),
        labels("success"),
    )
    .await;
}

/// Labels contradict allocatable: the node offers no shares until they agree again.
pub(crate) async fn node_relabelled(world: &World) {
    let labels = |replicas: &str| json!({"nvidia.com/gpu.replicas": replicas});
    let selector = "{kubernetes.io/hostname: t4-slices}";
    kept_away(world, "development", selector, "t4-slices", labels("2"), labels("4")).await;
}

async fn kept_away(
    world: &World,
    policy: &str,
    selector: &str,
    node: &str,
    change: serde_json::Value,
    back: serde_json::Value,
) {
    let namespace = &format!("{node}-e2e");
    world.cluster.governed(namespace, policy).await;
    let gated = pod_with(namespace, "late", &gpus(1), selector).replacen(
        "spec: {",
        "spec: {schedulingGates: [{name: example.com/later}], ",
        1,
    );
    world.kubectl.create(&gated).await.fine();
    let late = world.cluster.pod(namespace, "late").await;
    assert_eq!(world.apportion.refusal(&late, node).await, None);

    world.cluster.label_node(node, change).await;
    let changed = Instant::now();
    until("the extender to see the change", async || {
        world.apportion.refusal(&late, node).await.map(drop)
    })
    .await;
    let seen = changed.elapsed();
    let open = r#"[{"op":"remove","path":"/spec/schedulingGates"}]"#;
    let args = ["-n", namespace, "patch", "pod", "late", "--type=json", "-p", open];
    world.kubectl.run(&args).await.fine();
    let message = until("the scheduler to say why the pod waits", async || {
        let message = world.cluster.waits(namespace, "late").await;
        message.starts_with("0/").then_some(message)
    })
    .await;
    println!("      seen after {seen:.0?}; {message}");
    world.cluster.label_node(node, back).await;
    // The scheduler may retry some milliseconds before the extender sees the change, and then waits
    // for another event. In a cluster, one comes soon; here the test makes one.
    let pods = world.cluster.pods(namespace);
    let wakes = async |field: &str| {
        let params = kube::api::ListParams::default().fields(field);
        pods.list_metadata(&params)
            .await
            .is_ok_and(|list| !list.items.is_empty())
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    if !wakes("metadata.name=late,spec.nodeName!=").await {
        println!("      the scheduler was faster than the watch: another event has to wake the pod");
        // A new value each time, because an update without a change is no event.
        world.cluster.label_node("cpu-1", json!({"woken-for": node})).await;
    }
    let pod = world.cluster.bound(namespace, "late").await;
    assert_eq!(pod["spec"]["nodeName"], node);
    world.cluster.clear(namespace).await;
}
