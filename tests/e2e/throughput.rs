//! How many pods a second the real scheduler binds on a large cluster, with the extender and without.
//!
//! Takes minutes, and a machine that does little else: it runs only where `APPORTION_NODES` says how many nodes there are to be, with the
//! release build in `APPORTION_BINARY` if that is set. Prints ratios; nothing here fails for being slow.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use crate::world::World;

const NAMESPACE: &str = "throughput-e2e";
/// Pods of one run.
const PODS: usize = 600;
/// Runs of each setup, in turns, so that a machine that gets busier slows all of them down.
const ROUNDS: usize = 3;

/// The nodes, if somebody asks for this.
pub(crate) fn nodes() -> Option<usize> {
    std::env::var("APPORTION_NODES").ok()?.parse().ok()
}

/// Measures each setup in turns.
pub(crate) async fn measure(world: &World) {
    let count = nodes().unwrap();
    let start = Instant::now();
    futures::stream::iter(0..count)
        .for_each_concurrent(32, async |number| {
            world.cluster.node("l4-slices", &format!("many-{number}")).await;
        })
        .await;
    println!("      {count} nodes in {:.0} s", start.elapsed().as_secs_f64());
    world.cluster.governed(NAMESPACE, "development").await;
    let with = world.apportion.extenders();
    let mut binding = with.clone();
    binding[0]["bindVerb"] = json!("bind");
    let setups: [(&str, &[&str], Value); 4] = [
        ("without an extender", &[], json!([])),
        ("with it, 20 names an answer", &[], with.clone()),
        ("with it, full answers", &["--filter-answer-size=all"], with),
        ("with it, binding, 20 names", &["--bind"], binding),
    ];
    let mut rates = vec![Vec::new(); setups.len()];
    for _ in 0..ROUNDS {
        for ((_, flags, extenders), rates) in setups.iter().zip(&mut rates) {
            world.apportion.kill();
            world.apportion.run_also(flags);
            world.apportion.ready().await;
            if flags.contains(&"--bind") {
                // The Lease of the run before has to end, 15 s after it was renewed last.
                tokio::time::sleep(Duration::from_secs(22)).await;
            }
            rates.push(rate(world, extenders).await);
        }
    }
    world.plane.schedule(&world.apportion.extenders());
    let median = |rates: &Vec<f64>| {
        let mut sorted = rates.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let bare = median(&rates[0]);
    for ((name, ..), rates) in setups.iter().zip(&rates) {
        let shown: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        println!(
            "      {name:28} {:>5.0} pods/s, {:.2} of that without ({})",
            median(rates),
            median(rates) / bare,
            shown.join(", ")
        );
    }
}

/// Pods bound in a second by a scheduler that finds all of them waiting.
async fn rate(world: &World, extenders: &Value) -> f64 {
    world.plane.stop_scheduler();
    let pods: Api<Pod> = world.cluster.pods(NAMESPACE);
    futures::stream::iter(0..PODS)
        .for_each_concurrent(16, async |number| {
            let object = json!({
                "metadata": {"name": format!("p{number}")},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "containers": [{"name": "main", "image": "main", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
                },
            });
            let object: Pod = serde_json::from_value(object).unwrap();
            pods.create(&PostParams::default(), &object).await.unwrap();
        })
        .await;
    world.plane.schedule(extenders);
    let (mut first, mut last) = (None, (Instant::now(), 0));
    let waiting = ListParams::default().fields("spec.nodeName=").match_any();
    let end = Instant::now() + Duration::from_mins(3);
    while last.1 < PODS {
        assert!(Instant::now() < end, "{} of {PODS} pods bound", last.1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Ok(left) = pods.list_metadata(&waiting).await else {
            continue;
        };
        let bound = PODS - left.items.len();
        last = (Instant::now(), bound);
        if bound > 0 && first.is_none() {
            first = Some(last);
        }
    }
    let (begun, already) = first.unwrap();
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let rate = (PODS - already) as f64 / (last.0 - begun).as_secs_f64();
    let now = DeleteParams::default().grace_period(0);
    pods.delete_collection(&now, &ListParams::default()).await.unwrap();
    crate::cluster::until("the pods to be gone", async || {
        pods.list_metadata(&ListParams::default())
            .await
            .ok()?
            .items
            .is_empty()
            .then_some(())
    })
    .await;
    rate
}
