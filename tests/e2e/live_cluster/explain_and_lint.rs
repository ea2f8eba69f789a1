//! `explain` and `lint`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{TENANT, admin, free, held, nodes, pods, text};
use crate::cluster::asks;
use crate::world::{World, gpus, pod, pod_with};

pub(crate) async fn explain_and_lint(world: &World) {
    let verbs = admin(world);
    let manifest = pod(TENANT, "asked", &gpus(1));
    let told = verbs
        .feed(&["explain", "-f", "-", "--output", "json"], &manifest)
        .await
        .with(0);
    let report = &told.json()[0];
    // The webhook decides the same.
    let made = world
        .kubectl
        .feed(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &manifest)
        .await
        .fine();
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(report["outcome"]["result"], "rewritten");
    let after = report["demand"]["containers"][0]["after"].as_object().unwrap();
    let after: Vec<String> = after
        .iter()
        .map(|(name, count)| format!("{} {count}", name.trim_start_matches("nvidia.com/")))
        .collect();
    assert_eq!(after, asks(&made));
    // Free shares as by the objects on the API server.
    let (held, nodes) = (held(&pods(world).await), nodes(world).await);
    let fitting = report["nodes"]["fitting"].as_array().unwrap();
    for node in fitting {
        let share = &node["shares"][0];
        assert_eq!(
            share["free"],
            free(&nodes, &held, text(node, "/name"), text(share, "/resource")),
            "{node}"
        );
    }
    world.kubectl.create(&manifest).await.fine();
    let bound = world.cluster.bound(TENANT, "asked").await;
    let names: Vec<&str> = fitting.iter().map(|node| text(node, "/name")).collect();
    assert!(names.contains(&text(&bound, "/spec/nodeName")), "{names:?}");
    let denied = pod_with(TENANT, "pinned", &gpus(1), "{nvidia.com/gpu.product: Tesla-T4}");
    let told = verbs.feed(&["explain", "-f", "-"], &denied).await.with(1);
    let said = world.kubectl.create(&denied).await;
    let why = said.err.split_once("denied the request: ").unwrap().1.trim();
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        line(&told.out).contains(why.trim_start_matches("apportion (multi-tenant): ")),
        "{why}\n{}",
        told.out
    );

    let get = ["get", "nodes,namespaces,pods", "-A", "-o", "json"];
    let dump = world.kubectl.run(&get).await.fine().out;
    let told = verbs
        .feed(
            &["lint", "--cluster", "-", "--policies", "policies", "--output", "json"],
            &dump,
        )
        .await
        .with(1);
    let fields: BTreeSet<String> = told
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(one, "/field").to_owned())
        .collect();
    for node in ["a100-paused", "bare-1", "t4-stale"] {
        assert!(fields.contains(&format!("node {node}")), "{fields:?}");
    }
}
