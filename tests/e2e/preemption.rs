//! Preemption: by the scheduler if in-tree filters find no node, by Apportion if only a policy's
//! limits block the pod.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::until;
use crate::world::{World, gpus, spec};

/// The role of an extender that binds and evicts, in addition to that of the webhook.
const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: preemption-e2e}
rules:
- {apiGroups: [''], resources: [pods/binding, pods/eviction], verbs: [create]}
- {apiGroups: [''], resources: [pods], verbs: [get]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: preemption-e2e}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: preemption-e2e}
subjects:
- {kind: ServiceAccount, name: apportion, namespace: apportion-system}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: production}
value: 1000
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: patient}
value: 1000
preemptionPolicy: Never
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: important}
value: 10
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: spare}
value: -10
";

/// Policies in addition to the shipped ones, and namespaces with their names.
const POLICIES: [(&str, &str); 4] = [
    ("lab", "{strategies: [{strategy: mps}]}"),
    // Like the shipped one, but keeps tenants apart.
    (
        "serving",
        "{strategies: [{strategy: mig, profiles: [1g.10gb]}, {strategy: mps, products: [T4, V100]}]}",
    ),
    (
        "serving-apart",
        "{strategies: [{strategy: mps}], limits: {tenants: Apart}}",
    ),
    (
        "serving-calm",
        "{strategies: [{strategy: mps}], limits: {sharesPerGPU: 2}}",
    ),
];

/// Keeps a pod after its deletion, as a container that does not stop keeps its devices.
const LINGERS: &str = "e2e.apportion.dev/lingers";

/// Lets Apportion evict, and the scheduler call it.
pub(crate) async fn prepare(world: &World) {
    world.kubectl.create(RIGHTS).await.fine();
    for (name, spec) in POLICIES {
        let file = format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        );
        world.apportion.write_policy(&format!("{name}.yaml"), &file);
    }
    world.apportion.terminate().await;
    world.apportion.run_evicting();
    world.apportion.ready().await;
    let mut extenders = world.apportion.extenders();
    extenders[0]["preemptVerb"] = json!("preempt");
    extenders[0]["bindVerb"] = json!("bind");
    world.plane.schedule(&extenders);
    for (name, _) in POLICIES {
        world.cluster.governed(&format!("{name}-e2e"), name).await;
    }
    for node in ["mps-1", "mps-2"] {
        world.cluster.node("t4-mps", node).await;
    }
}

/// A share on a node, for a pod of a priority class.
async fn create(world: &World, namespace: &str, name: &str, node: &str, class: &str) {
    let selector = format!("{{kubernetes.io/hostname: {node}}}");
    create_on(world, namespace, name, &selector, class, "").await;
}

async fn create_on(world: &World, namespace: &str, name: &str, selector: &str, class: &str, metadata: &str) {
    let spec = spec(&gpus(1), selector);
    let class = if class.is_empty() {
        String::new()
    } else {
        format!("priorityClassName: {class}, ")
    };
    let spec = format!("{{{class}{}", spec.strip_prefix('{').unwrap());
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}{metadata}}}\nspec: {spec}\n"
    );
    world.kubectl.create(&manifest).await.fine();
}

/// Creates development pods on a node, and waits until all are bound.
async fn crowd(world: &World, node: &str, count: usize) {
    let finalizer = format!(", labels: {{crowd: {node}}}, finalizers: [{LINGERS}]");
    for number in 0..count {
        let selector = format!("{{kubernetes.io/hostname: {node}}}");
        let name = format!("{node}-{number}");
        create_on(world, "lab-e2e", &name, &selector, "", &finalizer).await;
    }
    let there = world
        .cluster
        .all_bound("lab-e2e", &format!("crowd={node}"), count)
        .await;
    assert!(there.iter().all(|pod| pod["spec"]["nodeName"] == *node));
}

/// The development pods that do not terminate.
async fn staying(world: &World) -> BTreeSet<String> {
    let pods = world.cluster.labelled("lab-e2e", "").await.unwrap();
    let staying = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    staying
        .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Removes the finalizer of up to `most` terminating pods.
async fn let_go(world: &World, most: usize) {
    let pods = world.cluster.pods("lab-e2e");
    let leaving = world.cluster.labelled("lab-e2e", "").await.unwrap();
    let leaving = leaving
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_string());
    for pod in leaving.take(most) {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        // The simulated kubelet may have ended one without a finalizer in the meantime.
        let _ = pods.patch(name, &PatchParams::default(), &none).await;
    }
}

/// Waits until this many development pods terminate or are gone.
async fn leaving(world: &World, count: usize) {
    until(&format!("{count} pods to be told to leave"), async || {
        let pods = world.cluster.labelled("lab-e2e", "").await?;
        let leaving = pods
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_string());
        (leaving.count() == count).then_some(())
    })
    .await;
}

async fn lands(world: &World, namespace: &str, name: &str, node: &str) -> Value {
    // The scheduler may see free shares before our watch does; the next event makes it retry.
    let moments = std::cell::Cell::new(0u32);
    until("the pod to have the room", async || {
        moments.set(moments.get() + 1);
        if moments.get().is_multiple_of(60) {
            world
                .cluster
                .label_node(node, json!({"e2e/moment": moments.get().to_string()}))
                .await;
        }
        let pod = world.cluster.pod(namespace, name).await;
        pod["spec"]["nodeName"].is_string().then_some(())
    })
    .await;
    let pod = world.cluster.bound(namespace, name).await;
    assert_eq!(pod["spec"]["nodeName"], node);
    pod
}

async fn clear(world: &World) {
    let pods = world.cluster.labelled("lab-e2e", "").await.unwrap();
    for pod in pods {
        let all: Api<k8s_openapi::api::core::v1::Pod> = world.cluster.pods("lab-e2e");
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let name = pod["metadata"]["name"].as_str().unwrap();
        let _ = all.patch(name, &PatchParams::default(), &none).await;
    }
    for namespace in ["lab-e2e", "serving-e2e", "serving-apart-e2e", "serving-calm-e2e"] {
        world.cluster.clear(namespace).await;
    }
}

/// Development holds every MPS share of a node. Inference, under the shipped policy, preempts the
/// lowest priority.
pub(crate) async fn inference_evicts_development(world: &World) {
    crowd(world, "mps-1", 14).await;
    create(world, "lab-e2e", "important", "mps-1", "important").await;
    create(world, "lab-e2e", "spare", "mps-1", "spare").await;
    for name in ["important", "spare"] {
        world.cluster.bound("lab-e2e", name).await;
    }
    let before = staying(world).await;
    create(world, "serving-e2e", "model", "mps-1", "production").await;
    lands(world, "serving-e2e", "model", "mps-1").await;
    let after = staying(world).await;
    let gone: Vec<_> = before.difference(&after).collect();
    assert_eq!(gone, ["spare"], "the fewest, and the least important");
    clear(world).await;
}

/// One victim is enough for in-tree filters. The policy keeps tenants apart, so Apportion adds the
/// others to the victims.
pub(crate) async fn tenants_apart_need_more_victims(world: &World) {
    crowd(world, "mps-1", 16).await;
    create(world, "serving-apart-e2e", "model", "mps-1", "production").await;
    leaving(world, 16).await;
    let waits = world.cluster.pod("serving-apart-e2e", "model").await;
    assert_eq!(
        waits["status"]["nominatedNodeName"], "mps-1",
        "the scheduler's own preemption"
    );
    let_go(world, 16).await;
    lands(world, "serving-apart-e2e", "model", "mps-1").await;
    clear(world).await;
}

/// In-tree filters pass and only the policy's limits block the pod. The scheduler itself would
/// never preempt here.
pub(crate) async fn own_limits(world: &World) {
    crowd(world, "mps-1", 3).await;
    create(world, "serving-apart-e2e", "model", "mps-1", "production").await;
    leaving(world, 3).await;
    let waits = world.cluster.pod("serving-apart-e2e", "model").await;
    assert!(
        waits["status"]["nominatedNodeName"].is_null(),
        "not the scheduler's doing"
    );
    // The node is reserved meanwhile: no pod of `lab` gets in, although in-tree filters would allow
    // 12 more.
    create(world, "lab-e2e", "late", "mps-1", "").await;
    world.cluster.waits("lab-e2e", "late").await;
    let_go(world, 3).await;
    lands(world, "serving-apart-e2e", "model", "mps-1").await;
    world
        .apportion
        .metric("apportion_evictions_total{result=\"evicted\"} 3")
        .await;
    let events = [
        "-n",
        "lab-e2e",
        "get",
        "events",
        "-o",
        "jsonpath={.items[?(@.reason=='GpuPreempted')].message}",
    ];
    let said = world.kubectl.run(&events).await.fine().out;
    assert!(
        said.contains("evicted from node mps-1 for serving-apart-e2e/model, which has a higher priority"),
        "{said}"
    );
    clear(world).await;

    // Two shares per GPU on 4 GPUs: eight run already, and the one with the lowest priority is
    // preempted.
    crowd(world, "mps-2", 7).await;
    create(world, "lab-e2e", "spare", "mps-2", "spare").await;
    world.cluster.bound("lab-e2e", "spare").await;
    let before = staying(world).await;
    create(world, "serving-calm-e2e", "model", "mps-2", "production").await;
    lands(world, "serving-calm-e2e", "model", "mps-2").await;
    let gone: Vec<String> = before.difference(&staying(world).await).cloned().collect();
    assert_eq!(gone, ["spare"]);
    clear(world).await;
}

/// `preemptionPolicy: Never` waits, and disruption budgets hold.
pub(crate) async fn nothing_is_preempted(world: &World) {
    crowd(world, "mps-1", 3).await;
    create(world, "serving-apart-e2e", "patient", "mps-1", "patient").await;
    let why = world.cluster.waits("serving-apart-e2e", "patient").await;
    assert!(why.contains("GPUs shared with another tenant"), "{why}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(staying(world).await.len(), 3);
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: crowd, namespace: lab-e2e}\n\
                  spec: {minAvailable: 3, selector: {matchLabels: {crowd: mps-1}}}\n";
    world.kubectl.create(budget).await.fine();
    until("the budget to be counted", async || {
        let args = [
            "-n",
            "lab-e2e",
            "get",
            "pdb",
            "crowd",
            "-o",
            "jsonpath={.status.currentHealthy}",
        ];
        (world.kubectl.run(&args).await.fine().out == "3").then_some(())
    })
    .await;
    create(world, "serving-apart-e2e", "model", "mps-1", "production").await;
    world
        .apportion
        .metric("apportion_evictions_total{result=\"refused\"} 1")
        .await;
    assert_eq!(
        staying(world).await.len(),
        3,
        "the budget holds, and no pod was evicted in vain"
    );
    let args = ["-n", "lab-e2e", "delete", "pdb", "crowd"];
    world.kubectl.run(&args).await.fine();
    clear(world).await;
}

/// While victims on its nominated node terminate, a pod preempts none elsewhere: neither before the
/// first is gone, when in-tree filters fail, nor after it, when only the policy's limits block the
/// pod.
pub(crate) async fn waits_for_its_victims(world: &World) {
    for node in ["mps-1", "mps-2"] {
        crowd(world, node, 16).await;
    }
    let either = "{e2e/either: 'yes'}";
    for node in ["mps-1", "mps-2"] {
        world.cluster.label_node(node, json!({"e2e/either": "yes"})).await;
    }
    create_on(world, "serving-apart-e2e", "model", either, "production", "").await;
    leaving(world, 16).await;
    let nominated = world.cluster.pod("serving-apart-e2e", "model").await["status"]["nominatedNodeName"].clone();
    // Once five are gone, in-tree filters pass for the pod and one more. The node is reserved for
    // the pod, which is kept apart.
    let_go(world, 5).await;
    create(world, "lab-e2e", "late", nominated.as_str().unwrap(), "").await;
    // Enough for several attempts of the scheduler: each event of a pod makes it retry.
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let waits = world.cluster.pod("serving-apart-e2e", "model").await;
        assert_eq!(waits["status"]["nominatedNodeName"], nominated);
        assert_eq!(staying(world).await.len(), 17, "no pod leaves the other node");
        assert!(world.cluster.pod("lab-e2e", "late").await["spec"]["nodeName"].is_null());
    }
    let why = world.cluster.waits("serving-apart-e2e", "model").await;
    println!("      meanwhile: {why}");
    let_go(world, 16).await;
    lands(world, "serving-apart-e2e", "model", nominated.as_str().unwrap()).await;
    assert_eq!(staying(world).await.len(), 17);
    clear(world).await;
}
