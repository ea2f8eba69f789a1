//! Nodes whose GPUs DRA serves instead of a device plugin, with the real scheduler.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use k8s_openapi::api::core::v1::Node;

use crate::cluster::until;
use crate::world::{World, gpus, pod_with};

const DRIVER: &str = "gpu.e2e.example";

/// A class that serves `resource`, of all devices of our driver.
fn class(name: &str, resource: &str) -> String {
    format!(
        "{{apiVersion: resource.k8s.io/v1, kind: DeviceClass, metadata: {{name: {name}}}, spec: {{extendedResourceName: {resource}, \
         selectors: [{{cel: {{expression: 'device.driver == \"{DRIVER}\"'}}}}]}}}}\n"
    )
}

pub(crate) async fn whole_gpus_and_partitions(world: &World) {
    let (cluster, node) = (&world.cluster, "a100-dra");
    cluster.node("a100-1", node).await;
    cluster.label_node(node, json!({"pool": "dra"})).await;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let no_gpu = json!({"nvidia.com/gpu": null});
    let status = json!({"status": {"allocatable": no_gpu, "capacity": no_gpu}});
    let params = PatchParams::default();
    nodes.patch_status(node, &params, &Patch::Merge(status)).await.unwrap();
    let slice = format!(
        "{{apiVersion: resource.k8s.io/v1, kind: ResourceSlice, metadata: {{name: {node}}}, spec: {{driver: {DRIVER}, nodeName: {node}, \
         pool: {{name: {node}, generation: 1, resourceSliceCount: 1}}, devices: [{{name: gpu-0}}, {{name: gpu-1}}]}}}}\n"
    );
    let manifest = [
        slice,
        class("whole", "nvidia.com/gpu"),
        class("partition", "nvidia.com/mig-1g.10gb"),
    ]
    .join("---\n");
    world.kubectl.create(&manifest).await.fine();

    let (trainers, tenants) = ("dra-training", "dra-tenants");
    cluster.governed(trainers, "training").await;
    cluster.governed(tenants, "multi-tenant").await;
    let here = "{pool: dra}";

    // The webhook watches device classes.
    let said = until("the warning that DRA serves the name", async || {
        let try_it = ["create", "--dry-run=server", "-f", "-"];
        let said = world
            .kubectl
            .feed(&try_it, &pod_with(trainers, "probe", &gpus(1), here))
            .await;
        said.err.contains("is left to DRA (DeviceClass whole)").then_some(said)
    })
    .await;
    println!("      {}", said.err.trim_end());

    world
        .kubectl
        .create(&pod_with(trainers, "job", &gpus(1), here))
        .await
        .fine();
    let bound = cluster.bound(trainers, "job").await;
    assert_eq!(bound["spec"]["nodeName"], node);
    let claim = &bound["status"]["extendedResourceClaimStatus"];
    assert_eq!(claim["requestMappings"][0]["resourceName"], "nvidia.com/gpu", "{claim}");

    // A device is free and the scheduler would allocate it, but its isolation is unknown.
    let said = world
        .kubectl
        .create(&pod_with(tenants, "tenant", &gpus(1), here))
        .await
        .fine();
    assert!(
        said.err.contains("is not used: its isolation cannot be verified"),
        "{}",
        said.err
    );
    let why = cluster.waits(tenants, "tenant").await;
    println!("      {why}");
    assert!(
        why.contains("mig-1g.10gb served by DRA: its isolation cannot be verified"),
        "{why}"
    );
}
