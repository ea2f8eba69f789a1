//! `audit`, with a real Prometheus.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{FREE, TRAINING, admin, has_gpus, nodes, pods, show, text};
use crate::prometheus::{Prometheus, Sampled};
use crate::world::World;

pub(crate) async fn audit(world: &World) {
    let Some(tools) = Prometheus::tools() else {
        println!(
            "SKIPPED: audit of a live cluster: no prometheus and promtool on the PATH or in target/tools (.ci/prometheus)"
        );
        return;
    };
    let verbs = admin(world);
    let all = pods(world).await;
    let node_of = |namespace: &str, name: &str| {
        let is_it = |pod: &&Value| text(pod, "/metadata/namespace") == namespace && text(pod, "/metadata/name") == name;
        text(all.iter().find(is_it).unwrap(), "/spec/nodeName").to_owned()
    };
    let (training, free) = (node_of(TRAINING, "sft"), node_of(FREE, "jupyter"));
    let sampled = [
        Sampled::new(&training, 0, (TRAINING, "sft"), 90, 60_000),
        Sampled::new(&training, 1, (TRAINING, "sft"), 70, 50_000),
        Sampled::new(&free, 7, (FREE, "jupyter"), 2, 4000),
    ];
    let prometheus = Prometheus::start(&tools, &sampled, world.plane.dir()).await;
    let url = prometheus.url();
    let window = ["audit", "--prometheus", url.as_str(), "--window", "6h"];
    let with = |more: &[&'static str]| window.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    // One workload should use another strategy.
    let report = verbs.run(&with(&["--output", "json"])).await.with(1).json();
    let rows = report["workloads"].as_array().unwrap();
    let row = |workload: &str| rows.iter().find(|row| row["workload"] == workload).unwrap();
    let (sft, jupyter) = (row("sft"), row("jupyter"));
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 0.2;
    for (row, namespace, mean, hours, memory, change) in [
        (sft, TRAINING, 80.0, 12.0, 60_000.0, false),
        (jupyter, FREE, 2.0, 6.0, 4000.0, true),
    ] {
        assert_eq!(row["namespace"], namespace);
        assert!(
            near(&row["meanPercent"], mean) && near(&row["gpuHours"], hours),
            "{row}"
        );
        assert!(near(&row["memoryPeakMebibytes"], memory), "{row}");
        assert_eq!(
            (&row["scope"], &row["advice"]["change"]),
            (&json!("own"), &json!(change)),
            "{row}"
        );
        assert_eq!(row["strategies"], json!(["exclusive"]));
    }
    // The policies are read from the cluster.
    let policy = |namespace: &str| {
        report["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["namespace"] == namespace)
            .unwrap()["policy"]
            .clone()
    };
    assert_eq!((policy(TRAINING), policy(FREE)), (json!("training"), Value::Null));
    assert!(
        ["development", "turns"].contains(&text(jupyter, "/advice/setPolicy")),
        "{jupyter}"
    );
    assert_eq!(report["total"]["gpus"], 3);
    // The report names the nodes without metrics.
    let blind = report["unseen"]
        .as_array()
        .unwrap()
        .iter()
        .find(|gap| text(gap, "/note").contains("no metric"))
        .unwrap();
    let seen: BTreeSet<&String> = [&training, &free].into_iter().collect();
    let nodes = nodes(world).await;
    let others = nodes
        .iter()
        .filter(|node| has_gpus(node))
        .filter(|node| !seen.contains(&text(node, "/metadata/name").to_owned()));
    assert_eq!(blind["count"], others.count(), "{blind}");
    for form in ["text", "markdown", "html"] {
        let told = verbs.run(&with(&["--output", form])).await.with(1);
        assert!(
            told.out.contains("jupyter") && told.out.contains("apportion.dev/policy="),
            "{form}: {}",
            told.out
        );
        if form == "text" {
            show(&told.out);
        }
    }
}
