//! `apportion map`.

use serde_json::{Value, json};

use crate::command::{CLUSTER, Run, apportion, apportion_reading};

fn map(args: &[&str]) -> Run {
    apportion(&[&["map", "--cluster", CLUSTER], args].concat())
}

fn picture(args: &[&str]) -> Value {
    let run = map(&[&["--output", "json"], args].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

/// The numbers of pods that hold and await GPUs, counted without our code.
fn pods_of_the_dump() -> (u64, u64) {
    let dump: Value = serde_json::from_str(&std::fs::read_to_string(CLUSTER).unwrap()).unwrap();
    let (mut held, mut waiting) = (0, 0);
    for item in dump["items"].as_array().unwrap() {
        if item["kind"] != "Pod"
            || ["Succeeded", "Failed"]
                .iter()
                .any(|phase| item["status"]["phase"] == *phase)
        {
            continue;
        }
        let asks = item["spec"]["containers"].as_array().unwrap().iter().any(|container| {
            let limits = container["resources"]["limits"].as_object();
            limits.is_some_and(|limits| limits.keys().any(|name| name.starts_with("nvidia.com/")))
        });
        if asks && item["spec"].get("nodeName").is_some() {
            held += 1;
        } else if asks {
            waiting += 1;
        }
    }
    (held, waiting)
}

#[test]
fn every_pod_of_the_dump_is_shown_once() {
    let picture = picture(&[]);
    let mut seen = Vec::new();
    for node in picture["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|g| g["nodes"].as_array().unwrap())
    {
        let strips = node["offers"].as_array().unwrap();
        for strip in strips {
            let holders = strip["holders"].as_array().unwrap();
            let held: u64 = holders.iter().map(|holder| holder["shares"].as_u64().unwrap()).sum();
            let (total, free) = (strip["total"].as_u64().unwrap(), strip["free"].as_u64().unwrap());
            assert_eq!(total.saturating_sub(held), free, "{strip}");
        }
        let holders = strips.iter().flat_map(|strip| strip["holders"].as_array().unwrap());
        for holder in holders.chain(node["stray"].as_array().unwrap()) {
            seen.push(format!("{}/{}", holder["namespace"], holder["pod"]));
        }
    }
    seen.sort();
    seen.dedup();
    let (held, waiting) = pods_of_the_dump();
    assert!(held > 10 && waiting > 0, "{held} {waiting}");
    assert_eq!(seen.len() as u64, held);
    assert_eq!(picture["waiting"].as_array().unwrap().len() as u64, waiting);
}

#[test]
fn nodes_and_namespaces_can_be_selected() {
    let picked = picture(&["--node", "a100-m*"]);
    assert_eq!(picked["groups"].as_array().unwrap().len(), 1);
    assert_eq!(picked["groups"][0]["nodes"][0]["name"], "a100-mig");
    let picked = picture(&["--namespace", "acme"]);
    for node in picked["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|g| g["nodes"].as_array().unwrap())
    {
        assert!(node.to_string().contains("\"namespace\":\"acme\""), "{node}");
    }
    assert!(
        picked["waiting"]
            .as_array()
            .unwrap()
            .iter()
            .all(|pod| pod["namespace"] == "acme")
    );
}

#[test]
fn a_node_that_reconfigures_mig_is_shown() {
    let picked = picture(&["--node", "a100-paused"]);
    assert_eq!(
        (
            &picked["groups"][0]["title"],
            &picked["groups"][0]["nodes"][0]["closed"]
        ),
        (&json!("Not offered"), &json!("MIG reconfiguration pending")),
        "{picked}"
    );
}

#[test]
fn an_invalid_dump_is_reported_once() {
    for (text, words) in [
        ("[package]\nname: x", "did not find expected <document start>"),
        ("{\"kind\":", "EOF while parsing"),
        (
            r#"{"kind":"List","items":[{"kind":"Node","metadata":7}]}"#,
            "invalid type",
        ),
    ] {
        let run = apportion_reading(text, &["map", "--cluster", "-"]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""));
        assert_eq!(run.stderr.matches(words).count(), 1, "{}", run.stderr);
    }
}

#[test]
fn output_to_a_pipe_is_plain_text_of_at_most_100_columns() {
    let run = map(&[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(!run.stdout.contains('\u{1b}'));
    assert!(
        run.stdout.contains("Waiting") && run.stdout.contains("the kubelet decides"),
        "{}",
        run.stdout
    );
    let cells = run.stdout.lines().filter(|line| line.trim_start().starts_with('['));
    assert!(cells.clone().count() > 5);
    cells.for_each(|line| assert!(line.chars().count() <= 100, "{line}"));
    assert!(map(&["--color", "always"]).stdout.contains('\u{1b}'));
}

#[test]
fn with_many_nodes_each_node_is_one_character() {
    let run = map(&["--detail", "0", "--node", "a100-mig"]);
    assert!(run.stdout.contains("\n  ▆\n"), "{}", run.stdout);
    assert!(!run.stdout.contains('['), "{}", run.stdout);
}

/// Checks that tags are closed in order and that nothing is loaded from elsewhere.
fn is_well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in text.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('!') || tag.ends_with('/') || ["meta", "br"].contains(&name) {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{part}");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let addresses = text.matches("http").count();
    assert_eq!(addresses, text.matches("http://www.w3.org/2000/svg").count());
    assert!(!text.contains("<script") && !text.contains("@import") && !text.contains("url("));
}

#[test]
fn html_and_svg_are_well_formed_and_self_contained() {
    for output in ["html", "svg"] {
        for detail in ["60", "0"] {
            let run = map(&["--output", output, "--detail", detail]);
            assert_eq!(run.status, 0, "{}", run.stderr);
            is_well_formed(&run.stdout);
            assert!(run.stdout.contains("prefers-color-scheme:dark"));
        }
    }
}

#[test]
fn names_are_escaped_in_markup() {
    let dump = r#"{"kind":"List","items":[{"kind":"Namespace","metadata":{"name":"n"}},
        {"kind":"Node","metadata":{"name":"a<script>&\"","labels":{"nvidia.com/gpu.product":"NVIDIA-L4","nvidia.com/gpu.count":"1","nvidia.com/gpu.replicas":"1","nvidia.com/gpu.sharing-strategy":"none"}},
         "status":{"allocatable":{"nvidia.com/gpu":"1"},"conditions":[{"type":"Ready","status":"True"}]}}]}"#;
    let run = crate::command::apportion_reading(dump, &["map", "--cluster", "-", "--output", "html"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.contains("a&lt;script&gt;&amp;&quot;"), "{}", run.stdout);
    is_well_formed(&run.stdout);
}
