//! Pods per second that the real scheduler binds in a large cluster, with and without the extender.
//!
//! It takes minutes on an otherwise idle machine, so it runs only if `APPORTION_NODES` sets the
//! number of nodes. `APPORTION_BINARY` may name a release build. It prints ratios and never fails
//! for being slow.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use crate::world::World;

const NAMESPACE: &str = "throughput-e2e";
/// Pods of one run.
const PODS: usize = 1000;
/// Rounds. Setups alternate, so that changes of the load affect all of them. `APPORTION_ROUNDS`
/// overrides it.
const ROUNDS: usize = 5;

/// The number of nodes, if the test should run.
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
    let mut setups = setups(world);
    // To measure some setups only: those with matching names, and the baseline.
    if let Ok(words) = std::env::var("APPORTION_SETUPS") {
        setups.retain(|setup| setup.name.contains(&words) || setup.extenders == json!([]));
    }
    let rounds = std::env::var("APPORTION_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut turns: Vec<Vec<Turn>> = setups.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (setup, turns) in setups.iter().zip(&mut turns) {
            world.apportion.kill();
            match setup.wire {
                Wire::Loopback => world.apportion.run_next_to_the_scheduler(setup.flags),
                Wire::Tls => world.apportion.run_also(setup.flags),
            }
            world.apportion.ready().await;
            if setup.flags.contains(&"--bind") {
                // The Lease of the previous run expires 15 s after its last renewal.
                tokio::time::sleep(Duration::from_secs(22)).await;
            }
            turns.push(run(world, &setup.extenders).await);
        }
    }
    world.apportion.kill();
    world.apportion.run();
    world.apportion.ready().await;
    world.plane.schedule(&world.apportion.extenders());
    for (Setup { name, .. }, all) in setups.iter().zip(&turns) {
        let rates = || all.iter().map(|turn| turn.rate);
        // Compare with the run without an extender of the same round, which had the same load.
        let ratios = || rates().zip(&turns[0]).map(|(rate, bare)| rate / bare.rate);
        let shown: Vec<String> = ratios().map(|ratio| format!("{ratio:.2}")).collect();
        println!(
            "      {name:44} {:>5.0} pods/s, {:.2} of that without ({})",
            median(rates()),
            median(ratios()),
            shown.join(", ")
        );
    }
    println!("      CPU for each pod, ms:");
    for (Setup { name, .. }, turns) in setups.iter().zip(&turns) {
        let spender = |(at, who)| format!("{who} {:.2}", median(turns.iter().map(|turn: &Turn| turn.cpu[at])));
        let spent: Vec<String> = SPENDERS.iter().enumerate().map(spender).collect();
        println!("      {name:44} {}", spent.join(", "));
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The connection between scheduler and extender.
enum Wire {
    /// Plain HTTP within one pod, as in the chart.
    Loopback,
    /// TLS with client certificates.
    Tls,
}

/// A setup to measure.
struct Setup {
    name: &'static str,
    wire: Wire,
    flags: &'static [&'static str],
    extenders: Value,
}

fn setups(world: &World) -> Vec<Setup> {
    let loopback = world.apportion.loopback_extenders();
    // Prioritize needs a weight; otherwise it has no effect.
    let and = |verb: &str| {
        let mut more = loopback.clone();
        more[0][format!("{verb}Verb")] = json!(verb);
        more[0]["weight"] = json!(5);
        more
    };
    let all: &[&str] = &["--filter-answer-size=all"];
    let setup = |name, wire, flags, extenders: &Value| Setup {
        name,
        wire,
        flags,
        extenders: extenders.clone(),
    };
    let (scoring, binding) = (and("prioritize"), and("bind"));
    vec![
        setup("without an extender", Wire::Loopback, &[], &json!([])),
        setup("20 names an answer", Wire::Loopback, &[], &loopback),
        setup("full answers", Wire::Loopback, all, &loopback),
        setup("20 names an answer, binding", Wire::Loopback, &["--bind"], &binding),
        setup("full answers, prioritize asked too", Wire::Loopback, all, &scoring),
        setup(
            "20 names an answer, over TLS",
            Wire::Tls,
            &[],
            &world.apportion.extenders(),
        ),
    ]
}

/// The processes whose CPU time is measured.
const SPENDERS: [&str; 4] = ["apportion", "kube-scheduler", "kube-apiserver", "etcd"];

/// The result of one run.
struct Turn {
    /// Pods bound per second.
    rate: f64,
    /// CPU milliseconds per pod, in the order of [`SPENDERS`].
    cpu: Vec<f64>,
}

/// Starts a scheduler when all pods are waiting, and measures until all are bound.
async fn run(world: &World, extenders: &Value) -> Turn {
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
            first = Some((last, spent(world)));
        }
    }
    let ((begun, already), before) = first.unwrap();
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let bound = (PODS - already) as f64;
    let millis = |(after, before): (&Duration, &Duration)| after.saturating_sub(*before).as_secs_f64() * 1000.0 / bound;
    let turn = Turn {
        rate: bound / (last.0 - begun).as_secs_f64(),
        cpu: spent(world).iter().zip(&before).map(millis).collect(),
    };
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
    turn
}

/// CPU time so far, in the order of [`SPENDERS`].
fn spent(world: &World) -> [Duration; 4] {
    let [scheduler, apiserver, etcd] = world.plane.cpu();
    [world.apportion.cpu(), scheduler, apiserver, etcd]
}
