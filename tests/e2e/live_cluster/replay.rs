//! `replay`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{H100, NOTEBOOKS, SLICES, TURNS, admin, free, held, nodes, notebook, pods, show, text, turns};
use crate::cluster::until;
use crate::verbs::{policies_with, text_of};
use crate::world::{World, gpus, pod};

/// The forecast for a changed policy is right once the policy is changed.
pub(crate) async fn replay(world: &World) {
    let verbs = admin(world);
    let same = policies_with("turns.yaml", &turns(SLICES));
    let told = verbs
        .run(&["replay", "--policies", text_of(same.path()), "--output", "json"])
        .await
        .with(0);
    let held_before = held(&pods(world).await);
    let count = held_before.keys().map(|(_, who, _)| who).collect::<BTreeSet<_>>().len();
    let all = json!({"pods": count, "unchanged": count, "changes": [], "missing": []});
    assert_eq!(told.json(), all);

    // GPUs for all notebooks.
    let roomy = policies_with("turns.yaml", &turns("{strategy: exclusive}"));
    let told = verbs
        .run(&["replay", "--policies", text_of(roomy.path()), "--output", "json"])
        .await
        .with(0);
    assert_eq!(lost(&told.json()), (NOTEBOOKS as u64, 0));

    // GPUs for eight of them.
    let narrow = policies_with("turns.yaml", &turns(H100));
    let narrow_path = text_of(narrow.path());
    let told = verbs
        .run(&["replay", "--policies", narrow_path, "--output", "json"])
        .await
        .with(1);
    let there = free(&nodes(world).await, &held_before, "h100-1", "nvidia.com/gpu");
    let without = NOTEBOOKS as u64 - there;
    assert_eq!(lost(&told.json()), (NOTEBOOKS as u64, without), "{}", told.out);
    let missing = json!([{"strategy": "exclusive", "resource": "nvidia.com/gpu", "shares": without, "pods": without}]);
    assert_eq!(told.json()["missing"], missing);
    for change in told.json()["changes"].as_array().unwrap() {
        let who = format!("{TURNS}/{}", text(change, "/workload"));
        let now: BTreeMap<&String, u64> = held_before
            .iter()
            .filter(|((_, pod, _), _)| *pod == who)
            .map(|((_, _, resource), count)| (resource, *count))
            .collect();
        assert_eq!(
            change["from"],
            json!({"strategy": "time-slicing", "resources": now}),
            "{change}"
        );
        assert_eq!(
            change["to"],
            json!({"strategy": "exclusive", "resources": {"nvidia.com/gpu": 1}})
        );
        assert_eq!(
            (&change["restored"], &change["policy"]),
            (&json!(true), &json!("turns")),
            "{change}"
        );
    }
    let told = verbs.run(&["replay", "--policies", narrow_path]).await.with(1);
    assert!(
        (0..NOTEBOOKS).all(|at| told.out.contains(&format!("{TURNS}/notebook-{at} "))),
        "{}",
        told.out
    );
    show(&told.out);

    // Change the policy and create every pod again.
    world
        .kubectl
        .feed(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &turns(H100),
        )
        .await
        .fine();
    until("the changed policy to be in force", async || {
        let probe = world
            .kubectl
            .feed(
                &["create", "--dry-run=server", "-o", "yaml", "-f", "-"],
                &pod(TURNS, "probe", &gpus(1)),
            )
            .await;
        probe.out.contains("H100").then_some(())
    })
    .await;
    world.cluster.clear(TURNS).await;
    let manifests: Vec<String> = (0..NOTEBOOKS).map(notebook).collect();
    world.kubectl.create(&manifests.join("---\n")).await.fine();
    let judged = until("every notebook to have a node or none", async || {
        let pods: Vec<Value> = pods(world)
            .await
            .into_iter()
            .filter(|pod| text(pod, "/metadata/namespace") == TURNS)
            .collect();
        let is_judged = |pod: &Value| {
            pod["spec"]["nodeName"].is_string() || pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        };
        (pods.len() == NOTEBOOKS && pods.iter().all(is_judged)).then_some(pods)
    })
    .await;
    let (on, waiting): (Vec<&Value>, Vec<&Value>) = judged.iter().partition(|pod| pod["spec"]["nodeName"].is_string());
    assert_eq!((on.len() as u64, waiting.len() as u64), (there, without));
    assert!(on.iter().all(|pod| pod["spec"]["nodeName"] == "h100-1"));
    // `map` shows the waiting pods.
    let map = verbs.run(&["map", "--output", "json"]).await.with(0).json();
    let drawn: BTreeSet<&str> = map["waiting"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| text(pod, "/pod"))
        .collect();
    assert_eq!(drawn, waiting.iter().map(|pod| text(pod, "/metadata/name")).collect());
}

/// The numbers of pods that change and that no longer fit. All must be notebooks.
fn lost(report: &Value) -> (u64, u64) {
    let changes = report["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["namespace"] == TURNS), "{report}");
    let sum = |key: &str| changes.iter().map(|change| change[key].as_u64().unwrap()).sum();
    (sum("pods"), sum("withoutPlace"))
}
