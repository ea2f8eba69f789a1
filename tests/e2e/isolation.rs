//! Ways to GPUs that a pod was not given, as a tenant tries them with `kubectl`.

use serde_json::{Value, json};

use crate::kubectl::Said;
use crate::world::{World, gpus, pod};

const REFUSED: &str = "denied the request: apportion (multi-tenant): ";

/// Holds that the API server turned it away in our words, and prints them.
fn refused(said: &Said, webhook: &str, field: &str, remedy: &str) {
    println!("      {}", said.err.trim_end());
    assert!(!said.ok, "{}", said.out);
    let words = format!("admission webhook \"{webhook}.apportion.dev\" {REFUSED}{field}: ");
    assert!(said.err.contains(&words) && said.err.contains(remedy), "{}", said.err);
}

/// A pod whose spec has these fields too.
fn also(fields: &str, namespace: &str, name: &str, container: &str) -> String {
    pod(namespace, name, container).replacen("spec: {", &format!("spec: {{{fields}, "), 1)
}

fn all() -> Value {
    json!({"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"})
}

pub(crate) async fn refusals(world: &World) {
    let namespace = "isolated-e2e";
    world.cluster.governed(namespace, "multi-tenant").await;
    // The names hold the keys, also of one that is made later: what a ConfigMap holds can change
    // until the container starts.
    let args = [
        "-n",
        namespace,
        "create",
        "configmap",
        "settings",
        "--from-literal=NVIDIA_VISIBLE_DEVICES=all",
    ];
    world.kubectl.run(&args).await.fine();
    let with_gpu = |fields: &str| format!("{{resources: {{limits: {{nvidia.com/gpu: 1}}}}, {fields}}}");
    let (value, from) = (
        "env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}]",
        "env: [{name: NVIDIA_VISIBLE_DEVICES, valueFrom: {configMapKeyRef: {name: settings, key: NVIDIA_VISIBLE_DEVICES}}}]",
    );
    let ask = "ask for nvidia.com/gpu in resources.limits";
    for (webhook, manifest, field, remedy) in [
        (
            "pods",
            pod(namespace, "env", &with_gpu(value)),
            "spec.containers[0].env[0]",
            ask,
        ),
        (
            "isolation",
            pod(namespace, "env", &format!("{{{value}}}")),
            "spec.containers[0].env[0]",
            ask,
        ),
        (
            "pods",
            pod(namespace, "from", &with_gpu(from)),
            "spec.containers[0].env[0]",
            ask,
        ),
        (
            "pods",
            pod(
                namespace,
                "all",
                &with_gpu("envFrom: [{configMapRef: {name: settings}}]"),
            ),
            "spec.containers[0].envFrom[0]",
            "give it a prefix, such as APP_, or list the keys in env with valueFrom",
        ),
        (
            "isolation",
            pod(namespace, "root", "{securityContext: {privileged: true}}"),
            "spec.containers[0].securityContext.privileged",
            "add only that one",
        ),
        (
            "isolation",
            also(
                "volumes: [{name: d, hostPath: {path: /dev/nvidia0}}]",
                namespace,
                "device",
                "{}",
            ),
            "spec.volumes[0].hostPath.path",
            "remove the volume",
        ),
        (
            "isolation",
            also("hostIPC: true", namespace, "memory", "{}"),
            "spec.hostIPC",
            "remove it",
        ),
        (
            "pods",
            also("nodeName: a100-mig", namespace, "node", &gpus(1)),
            "spec.nodeName",
            "spec.nodeSelector",
        ),
    ] {
        refused(&world.kubectl.create(&manifest).await, webhook, field, remedy);
    }
    world.cluster.clear(namespace).await;
}

pub(crate) async fn ordinary(world: &World) {
    let namespace = "ordinary-e2e";
    world.cluster.governed(namespace, "multi-tenant").await;
    let args = [
        "-n",
        namespace,
        "create",
        "configmap",
        "settings",
        "--from-literal=COLOUR=blue",
    ];
    world.kubectl.run(&args).await.fine();
    let container =
        "{resources: {limits: {cpu: 100m}}, env: [{name: A, value: b}], envFrom: [{configMapRef: {name: settings}}]}";
    let fields = "volumes: [{name: l, hostPath: {path: /var/log}}, {name: s, configMap: {name: settings}}]";
    let said = world
        .kubectl
        .create(&also(fields, namespace, "web", container))
        .await
        .fine();
    assert_eq!(said.err, "", "no warning about GPUs that were not requested");
    let web = world.cluster.bound(namespace, "web").await;
    let void = json!({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"});
    assert_eq!(
        web["spec"]["containers"][0]["env"],
        json!([{"name": "A", "value": "b"}, void])
    );

    let container = "{resources: {limits: {nvidia.com/gpu: 1}}, env: [{name: A, value: b}], envFrom: [{prefix: APP_, configMapRef: {name: settings}}]}";
    world.kubectl.create(&pod(namespace, "api", container)).await.fine();
    let api = world.cluster.bound(namespace, "api").await;
    assert_eq!(
        api["spec"]["containers"][0]["env"],
        json!([{"name": "A", "value": "b"}])
    );

    // Pods of a Deployment too, where a warning reaches only the controller.
    let args = ["-n", namespace, "create", "deployment", "site", "--image=cuda"];
    world.kubectl.run(&args).await.fine();
    let site = crate::cluster::until("the Deployment's pod", async || {
        let params = kube::api::ListParams::default().labels("app=site");
        let pods = world.cluster.pods(namespace).list(&params).await.ok()?;
        serde_json::to_value(pods.items.first()?).ok()
    })
    .await;
    assert_eq!(site["spec"]["containers"][0]["env"], json!([void]));
    // A label is not held up.
    world
        .kubectl
        .run(&["-n", namespace, "label", "pod", "web", "owner=ada"])
        .await
        .fine();
    world.cluster.clear(namespace).await;
}

pub(crate) async fn ephemeral(world: &World) {
    let namespace = "debug-isolated-e2e";
    world.cluster.governed(namespace, "multi-tenant").await;
    world.kubectl.create(&pod(namespace, "api", &gpus(1))).await.fine();
    let before = world.cluster.bound(namespace, "api").await;
    let debug = async |more: &[&str]| {
        let args = ["-n", namespace, "debug", "api", "--image=cuda", "--profile=general"];
        world.kubectl.run(&[&args, more].concat()).await
    };
    let said = debug(&["-c", "bad", "--env=NVIDIA_VISIBLE_DEVICES=all"]).await;
    refused(&said, "isolation", "spec.ephemeralContainers[0].env[0]", "remove it");
    let raw = json!({"spec": {"ephemeralContainers": [{"name": "raw", "image": "cuda", "securityContext": {"privileged": true}}]}});
    let raw = raw.to_string();
    let args = [
        "-n",
        namespace,
        "patch",
        "pod",
        "api",
        "--subresource=ephemeralcontainers",
        "-p",
        raw.as_str(),
    ];
    let field = "spec.ephemeralContainers[0].securityContext.privileged";
    refused(&world.kubectl.run(&args).await, "isolation", field, "remove it");

    // Debugging still works: two containers without the variable get it, one after the other.
    let void = json!([{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}]);
    for name in ["first", "second"] {
        debug(&["-c", name]).await.fine();
    }
    let after = world.cluster.pod(namespace, "api").await;
    let added = after["spec"]["ephemeralContainers"].as_array().unwrap();
    assert_eq!(added.len(), 2, "{added:?}");
    assert!(added.iter().all(|container| container["env"] == void), "{added:?}");
    assert_eq!(after["spec"]["containers"], before["spec"]["containers"]);

    let args = [
        "-n",
        namespace,
        "annotate",
        "pod",
        "api",
        "nvidia.cdi.k8s.io/pod=nvidia.com/gpu=all",
    ];
    refused(
        &world.kubectl.run(&args).await,
        "isolation",
        "metadata.annotations[nvidia.cdi.k8s.io/pod]",
        "remove it",
    );
    world.cluster.clear(namespace).await;
}

/// A policy of its own that asks for no isolation: the webhook is called and lets all of it pass.
pub(crate) async fn not_asked_for(world: &World) {
    let namespace = "open-e2e";
    world.cluster.governed(namespace, "development").await;
    let container = json!({"env": [all()], "securityContext": {"privileged": true}}).to_string();
    world.kubectl.create(&pod(namespace, "open", &container)).await.fine();
    let open = world.cluster.bound(namespace, "open").await;
    assert_eq!(open["spec"]["containers"][0]["env"], json!([all()]));
    world.cluster.clear(namespace).await;
}
