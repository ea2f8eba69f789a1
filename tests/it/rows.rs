//! Shorthands for rows of tables: pods, and answers in one line.

use apportion_testing::set;
use serde_json::{Value, json};

use super::fixtures::{Answer, on, pod};
use super::oracle::{container_ask, containers};
use super::patch_scope::required;

/// An answer in one line without `nvidia.com/`: the resources of each container, `|`, and the
/// required node affinity.
pub fn describe(answer: &Answer) -> String {
    if let Some(denial) = &answer.denial {
        return format!("{} {}", denial.code, denial.message);
    }
    let asks = containers(&answer.pod).filter_map(|(.., container)| {
        let counts: Vec<String> = container_ask(container)
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect();
        (!counts.is_empty()).then(|| format!("{}: {}", container["name"].as_str().unwrap(), counts.join(" + ")))
    });
    let terms = required(&answer.pod)["nodeSelectorTerms"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|term| {
            let expressions = term["matchExpressions"].as_array().into_iter().flatten().map(|e| {
                let values: Vec<&str> = e["values"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|v| v.as_str().unwrap())
                    .collect();
                format!(
                    "{} {} {}",
                    e["key"].as_str().unwrap(),
                    e["operator"].as_str().unwrap(),
                    values.join(",")
                )
                .trim()
                .to_owned()
            });
            expressions.collect::<Vec<_>>().join(" & ")
        });
    let (asks, terms): (Vec<String>, Vec<String>) = (asks.collect(), terms.collect());
    let text = if terms.is_empty() {
        asks.join("; ")
    } else {
        format!("{} | {}", asks.join("; "), terms.join(" or "))
    };
    text.replace("nvidia.com/", "")
}

pub fn gpu(count: &str) -> Value {
    pod(&[("gpu", count)])
}

/// A pod with several containers: init containers as (name, is sidecar, resource, count), main ones
/// as (name, resource, count).
pub fn pod_of(init: &[(&str, bool, &str, &str)], main: &[(&str, &str, &str)]) -> Value {
    let one = |name: &str, resource: &str, count: &str| {
        let list = json!({format!("nvidia.com/{resource}"): count});
        json!({"name": name, "resources": {"limits": list, "requests": list}})
    };
    let init: Vec<Value> = init
        .iter()
        .map(|(name, sidecar, resource, count)| {
            let container = one(name, resource, count);
            if *sidecar {
                set(container, "/restartPolicy", json!("Always"))
            } else {
                container
            }
        })
        .collect();
    let main: Vec<Value> = main
        .iter()
        .map(|(name, resource, count)| one(name, resource, count))
        .collect();
    json!({"metadata": {"name": "p"}, "spec": {"initContainers": init, "containers": main}})
}

pub fn declaring_memory(pod: Value, memory: &str) -> Value {
    set(pod, "/metadata/annotations/apportion.dev~1gpu-memory", json!(memory))
}

pub fn with_node_selector(pod: Value, key: &str, value: &str) -> Value {
    set(pod, "/spec/nodeSelector", json!({key: value}))
}

/// A pod on a node that has `count` of a resource.
pub fn pod_on(node: &str, resource: &str, count: &str) -> Value {
    on(pod(&[(resource, count)]), node)
}

pub const WHOLE: &str = "gpu.sharing-strategy In none & gpu.slices.gi DoesNotExist";
