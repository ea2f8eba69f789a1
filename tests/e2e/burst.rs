//! Bursts of pods.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, until};
use crate::outages::job;
use crate::policies::right_nodes;
use crate::world::{World, gpus};

const PODS: usize = 100;

/// A hundred pods of one Job on time slices, with and without the extender.
pub(crate) async fn hundred(world: &World) {
    for number in 1..=4 {
        world.cluster.node("l4-slices", &format!("l4-slices-{number}")).await;
        world.cluster.node("t4-slices", &format!("t4-slices-{number}")).await;
    }
    let with = measure(world, "hundred-with-e2e", &world.apportion.extenders()).await;
    let without = measure(world, "hundred-without-e2e", &json!([])).await;
    with.print("with the extender");
    without.print("without it");
    world.plane.schedule(&world.apportion.extenders());
    assert_eq!(with.wrong, 0, "pods on wrong nodes");
}

struct Measured {
    /// From the Job to the last binding.
    job: Duration,
    /// From the start of a scheduler that finds all pods waiting: the first binding to the last.
    backlog: Duration,
    wrong: usize,
    nodes: BTreeMap<String, usize>,
}

impl Measured {
    fn print(&self, name: &str) {
        let rate = |time: Duration| f64::from(u32::try_from(PODS).unwrap()) / time.as_secs_f64();
        println!(
            "      {name}: {PODS} pods from Job to node in {:.2} s ({:.0} pods/s); {PODS} that wait already in {:.2} s ({:.0} pods/s); \
             {} on a wrong node; {:?}",
            self.job.as_secs_f64(),
            rate(self.job),
            self.backlog.as_secs_f64(),
            rate(self.backlog),
            self.wrong,
            self.nodes
        );
    }
}

async fn measure(world: &World, namespace: &str, extenders: &Value) -> Measured {
    world.cluster.governed(namespace, "development").await;
    world.plane.schedule(extenders);
    scheduler_works(world, namespace).await;
    let start = Instant::now();
    world
        .kubectl
        .create(&job(namespace, "now", PODS, &gpus(1)))
        .await
        .fine();
    let (_, last) = bindings(world, namespace).await;
    let job_time = last - start;
    let pods = world.cluster.all_bound(namespace, "job-name", PODS).await;
    let nodes = Cluster::nodes_of(&pods);
    let is_right = |node: &str| {
        let kind = node
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .trim_end_matches('-');
        right_nodes("development").contains(&kind)
    };
    let wrong = nodes
        .iter()
        .filter(|(node, _)| !is_right(node))
        .map(|(_, count)| count)
        .sum();
    world.cluster.clear(namespace).await;

    world.plane.stop_scheduler();
    world
        .kubectl
        .create(&job(namespace, "backlog", PODS, &gpus(1)))
        .await
        .fine();
    until("all pods to wait", async || {
        (count(world, namespace, "spec.nodeName=").await? == PODS).then_some(())
    })
    .await;
    world.plane.schedule(extenders);
    let (first, last) = bindings(world, namespace).await;
    world.cluster.clear(namespace).await;
    Measured {
        job: job_time,
        backlog: last - first,
        wrong,
        nodes,
    }
}

/// The times when the first and the last pod had a node. Lists only metadata, to add little load.
async fn bindings(world: &World, namespace: &str) -> (Instant, Instant) {
    let mut first = None;
    loop {
        let bound = count(world, namespace, "spec.nodeName!=").await.unwrap_or(0);
        let now = Instant::now();
        if bound > 0 {
            let first = *first.get_or_insert(now);
            if bound >= PODS {
                return (first, now);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn count(world: &World, namespace: &str, field: &str) -> Option<usize> {
    let pods: Api<Pod> = world.cluster.pods(namespace);
    let params = ListParams::default().fields(field).labels("job-name");
    Some(pods.list_metadata(&params).await.ok()?.items.len())
}

/// Warms up a scheduler that has just started.
async fn scheduler_works(world: &World, namespace: &str) {
    world
        .kubectl
        .create(&crate::world::pod(namespace, "first", "{}"))
        .await
        .fine();
    world.cluster.bound(namespace, "first").await;
}

/// A hundred pods under four policies at once: each gets a node of its policy.
pub(crate) async fn four_policies(world: &World) {
    let policies = ["training", "multi-tenant", "development", "inference"];
    for policy in policies {
        world.cluster.governed(&format!("mixed-{policy}-e2e"), policy).await;
    }
    let jobs: String = policies
        .iter()
        .map(|policy| job(&format!("mixed-{policy}-e2e"), "burst", PODS / 4, &gpus(1)) + "---\n")
        .collect();
    let start = Instant::now();
    world.kubectl.create(&jobs).await.fine();
    let mut all = BTreeMap::new();
    for policy in policies {
        let namespace = format!("mixed-{policy}-e2e");
        let pods = world.cluster.all_bound(&namespace, "job-name", PODS / 4).await;
        all.insert(policy, pods);
    }
    println!("      all bound after {:.2} s", start.elapsed().as_secs_f64());
    for (policy, pods) in all {
        println!("      {policy}: {:?}", Cluster::nodes_of(&pods));
        crate::workloads::all_right(&pods, policy);
        world.cluster.clear(&format!("mixed-{policy}-e2e")).await;
    }
}

/// More pods than shares: the others wait and are bound as shares become free.
pub(crate) async fn more_than_there_are(world: &World) {
    let namespace = "crowd-e2e";
    world.cluster.governed(namespace, "development").await;
    world
        .kubectl
        .create(&job(namespace, "crowd", 60, &gpus(1)))
        .await
        .fine();
    until("the 32 slices to be taken", async || {
        let all = world.cluster.labelled(namespace, "job-name").await?;
        let bound = all.iter().filter(|pod| pod["spec"]["nodeName"].is_string()).count();
        assert!(bound <= 32, "{bound} pods on 32 slices");
        (bound == 32 && all.len() == 60).then_some(())
    })
    .await;
    world.kubelet.finish_jobs(true);
    let args = [
        "-n",
        namespace,
        "wait",
        "job/crowd",
        "--for=condition=Complete",
        "--timeout=90s",
    ];
    world.kubectl.run(&args).await.fine();
    world.kubelet.finish_jobs(false);
    let pods = world.cluster.labelled(namespace, "job-name=crowd").await.unwrap();
    crate::workloads::all_right(&pods, "development");
    world.cluster.clear(namespace).await;
}
