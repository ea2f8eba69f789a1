//! Outages of single components.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{asks, until};
use crate::workloads::all_right;
use crate::world::{World, gpus, pod, spec};

const REVIEW: &str = include_str!("../data/recorded/admission/pod-create-gpu-1.json");

/// The API server is killed: Apportion decides from the last known state. After it restarts,
/// watches catch up.
pub(crate) async fn api_server(world: &World) {
    world.cluster.governed("outage-e2e", "development").await;
    let mut review: Value = serde_json::from_str(REVIEW).unwrap();
    review["request"]["namespace"] = json!("outage-e2e");
    review["request"]["object"]["metadata"]["namespace"] = json!("outage-e2e");
    let probe = json!({
        "metadata": {"name": "p", "namespace": "outage-e2e", "uid": "1"},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu.shared": "1"}}}]},
    });
    world.plane.kill_apiserver();
    let killed = Instant::now();
    let mut answers = 0;
    while killed.elapsed() < Duration::from_secs(8) {
        let (_, answer) = world.apportion.post("/mutate", review.to_string()).await;
        assert_eq!(answer["response"]["allowed"], true, "{answer}");
        assert!(answer["response"]["patch"].is_string(), "{answer}");
        assert_eq!(world.apportion.refusal(&probe, "l4-slices").await, None);
        assert!(world.apportion.refusal(&probe, "t4-mps").await.is_some());
        answers += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let start = Instant::now();
    world.plane.restart_apiserver().await;
    let ready = start.elapsed();
    let known = world.cluster.governed("after-outage-e2e", "training").await;
    println!(
        "      {answers} times asked in 8 s without an API server, {answers} times answered; ready {ready:.1?} after its restart, \
         a new namespace was governed {known:.1?} later"
    );
    world
        .kubectl
        .create(&pod("after-outage-e2e", "train", &gpus(1)))
        .await
        .fine();
    let pod = world.cluster.bound("after-outage-e2e", "train").await;
    all_right(&[pod], "training");
    world.cluster.clear("after-outage-e2e").await;
}

/// Apportion is killed while a Job creates pods. With `failurePolicy: Fail` no pod bypasses it, the
/// Job retries, and in the end all pods are rewritten and bound.
pub(crate) async fn apportion(world: &World) {
    let namespace = "killed-e2e";
    world.cluster.governed(namespace, "multi-tenant").await;
    // Fewer than the devices of the first profile, so that all pods get it.
    let count = 40;
    world
        .kubectl
        .create(&job(namespace, "burst", count, &gpus(1)))
        .await
        .fine();
    until("the first pods", async || {
        (world.cluster.labelled(namespace, "job-name=burst").await?.len() >= 3).then_some(())
    })
    .await;
    world.apportion.kill();
    let made = world.cluster.labelled(namespace, "job-name=burst").await.unwrap().len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let meanwhile = world.cluster.labelled(namespace, "job-name=burst").await.unwrap().len();
    let start = Instant::now();
    world.apportion.run();
    world.apportion.ready().await;
    let ready = start.elapsed();
    let pods = world.cluster.all_bound(namespace, "job-name=burst", count).await;
    for pod in &pods {
        assert_eq!(asks(pod), ["mig-1g.10gb 1"], "{pod}");
    }
    all_right(&pods, "multi-tenant");
    println!(
        "      killed when {made} of {count} pods were made ({meanwhile} two seconds later), ready {ready:.1?} after its restart, \
         all bound {:.1?} after it",
        start.elapsed()
    );
    world.cluster.clear(namespace).await;
}

/// The extender is down while a pod is scheduled: the pod waits with a reason and is bound when the
/// extender is back.
pub(crate) async fn extender(world: &World) {
    let namespace = "unplaced-e2e";
    world.cluster.governed(namespace, "development").await;
    let gated = pod(namespace, "late", &gpus(1)).replacen(
        "spec: {",
        "spec: {schedulingGates: [{name: example.com/later}], ",
        1,
    );
    world.kubectl.create(&gated).await.fine();
    let took = world.apportion.terminate().await;
    let open = r#"[{"op":"remove","path":"/spec/schedulingGates"}]"#;
    let args = ["-n", namespace, "patch", "pod", "late", "--type=json", "-p", open];
    world.kubectl.run(&args).await.fine();
    let message = until("the scheduler to say that the extender is away", async || {
        let message = world.cluster.waits(namespace, "late").await;
        message.contains("/filter").then_some(message)
    })
    .await;
    println!("      ended {took:.1?} after SIGTERM; {message}");
    world.apportion.run();
    world.apportion.ready().await;
    world.cluster.bound(namespace, "late").await;
    world.cluster.clear(namespace).await;
}

/// The webhook is down with `failurePolicy: Ignore`: a pod is created unchanged. Once the webhook
/// is back, the pod is reported.
pub(crate) async fn bypass(world: &World) {
    let namespace = "bypass-e2e";
    world.cluster.governed(namespace, "multi-tenant").await;
    world.apportion.register(&world.cluster.client, "Ignore").await;
    world.apportion.kill();
    until("a pod to enter while the webhook is away", async || {
        let said = world.kubectl.create(&pod(namespace, "unseen", &gpus(1))).await;
        said.ok.then_some(())
    })
    .await;
    assert_eq!(asks(&world.cluster.pod(namespace, "unseen").await), ["gpu 1"]);
    world.apportion.run();
    world.apportion.ready().await;
    until("an Event on the pod", async || {
        let args = [
            "-n",
            namespace,
            "get",
            "events",
            "--field-selector=involvedObject.name=unseen",
        ];
        let said = world.kubectl.run(&args).await;
        said.out
            .contains("multi-tenant")
            .then(|| println!("      {}", said.out.trim_end()))
    })
    .await;
    world.apportion.register(&world.cluster.client, "Fail").await;
    world.cluster.clear(namespace).await;
}

/// A Job of `count` pods at once.
pub(crate) fn job(namespace: &str, name: &str, count: usize, container: &str) -> String {
    let spec = spec(container, "{}").replacen('{', "{restartPolicy: Never, ", 1);
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{completions: {count}, parallelism: {count}, template: {{spec: {spec}}}}}
"
    )
}
