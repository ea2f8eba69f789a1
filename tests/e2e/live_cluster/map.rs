//! `map`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{TURNS, admin, drawn, free, has_gpus, held, nodes, pods, show, text};
use crate::world::World;

pub(crate) async fn map(world: &World) {
    let verbs = admin(world);
    let (pods, nodes) = (pods(world).await, nodes(world).await);
    let held = held(&pods);
    let live = verbs.run(&["map", "--output", "json"]).await.with(0);
    assert_eq!(drawn(&live.json()), held);
    let shown: BTreeSet<String> = live.json()["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["nodes"].as_array().unwrap())
        .map(|node| text(node, "/name").to_owned())
        .collect();
    let with_gpus = nodes
        .iter()
        .filter(|node| has_gpus(node))
        .map(|node| text(node, "/metadata/name").to_owned());
    assert_eq!(shown, with_gpus.collect());
    for offer in live.json()["groups"][0]["nodes"][0]["offers"].as_array().unwrap() {
        let node = text(&live.json(), "/groups/0/nodes/0/name").to_owned();
        assert_eq!(
            offer["free"],
            free(&nodes, &held, &node, text(offer, "/resource")),
            "{offer}"
        );
    }

    // A dump by kubectl gives the same map.
    for format in ["json", "yaml"] {
        let get = ["get", "nodes,namespaces,pods", "-A", "-o", format];
        let dump = world.kubectl.run(&get).await.fine().out;
        let of_dump = verbs
            .feed(&["map", "--cluster", "-", "--output", "json"], &dump)
            .await
            .with(0);
        assert_eq!(of_dump.json(), live.json(), "{format}");
    }

    // Every output format names all pods.
    for form in ["text", "html", "svg"] {
        let told = verbs.run(&["map", "--output", form]).await.with(0);
        for (node, who, _) in held.keys() {
            let name = who.split_once('/').unwrap().1;
            assert!(
                told.out.contains(name) && told.out.contains(node.as_str()),
                "{form} without {who}"
            );
        }
    }
    let picked = verbs
        .run(&[
            "map",
            "--namespace",
            "insight-t*",
            "--node",
            "a100-*",
            "--output",
            "json",
        ])
        .await
        .with(0);
    let is_picked = |pod: &&Value| {
        text(pod, "/metadata/namespace").starts_with("insight-t") && text(pod, "/spec/nodeName").starts_with("a100-")
    };
    let on: BTreeSet<&str> = pods
        .iter()
        .filter(is_picked)
        .map(|pod| text(pod, "/spec/nodeName"))
        .collect();
    let drawn = drawn(&picked.json());
    assert_eq!(
        drawn.keys().map(|(node, ..)| node.as_str()).collect::<BTreeSet<_>>(),
        on
    );
    assert!(!on.is_empty());
    let text = verbs.run(&["map", "--namespace", TURNS]).await.with(0).out;
    show(&text);
}
