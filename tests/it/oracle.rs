//! An independent oracle: what a pod requests and what a node offers, from the documentation of
//! Kubernetes and NVIDIA.
//!
//! Nothing here calls the code under test. Sources: feature discovery's labels (k8s-device-plugin
//! `internal/lm`), the effective request (`component-helpers/resource/helpers.go`), node affinity
//! (`component-helpers/scheduling/corev1/nodeaffinity`).

use std::collections::BTreeMap;

use apportion_core::policy::SharingRule;
use apportion_testing::Node;
use serde_json::{Value, json};

/// Whether a resource is a GPU resource.
pub fn is_gpu(key: &str) -> bool {
    key == "nvidia.com/gpu" || key == "nvidia.com/gpu.shared" || key.starts_with("nvidia.com/mig-")
}

/// A number of devices, in the forms that the generators use.
pub fn count(quantity: &Value) -> Option<u64> {
    let text = match quantity {
        Value::String(text) => text.clone(),
        Value::Null => "0".to_owned(),
        other => other.to_string(),
    };
    if let Some(milli) = text.strip_suffix('m') {
        let milli: u64 = milli.parse().ok()?;
        return milli.is_multiple_of(1000).then_some(milli / 1000);
    }
    if let Some((mantissa, exponent)) = text.split_once('e') {
        return Some(mantissa.parse::<u64>().ok()? * 10u64.pow(exponent.parse().ok()?));
    }
    match text.strip_suffix('k') {
        Some(thousands) => Some(thousands.parse::<u64>().ok()? * 1000),
        None => text.parse().ok(),
    }
}

pub type GpuRequest = BTreeMap<String, u64>;

fn gpu_list(list: &Value) -> GpuRequest {
    let pairs = list.as_object().into_iter().flatten().filter(|(key, _)| is_gpu(key));
    pairs
        .map(|(key, value)| (key.clone(), count(value).unwrap_or(0)))
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// The GPU resources of a container: its limits, and requests without a limit.
pub fn container_ask(container: &Value) -> GpuRequest {
    let mut ask = gpu_list(&container["resources"]["requests"]);
    ask.extend(gpu_list(&container["resources"]["limits"]));
    ask
}

/// Init containers and containers.
pub fn containers(pod: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    ["initContainers", "containers"].into_iter().flat_map(|list| {
        let items = pod["spec"][list].as_array().into_iter().flatten();
        items.enumerate().map(move |(at, container)| (list, at, container))
    })
}

/// The pod's effective request, as the scheduler counts it: the peak and the overhead.
pub fn effective(pod: &Value) -> GpuRequest {
    let mut resources: Vec<String> = containers(pod)
        .flat_map(|(_, _, c)| container_ask(c).into_keys())
        .collect();
    let overhead = gpu_list(&pod["spec"]["overhead"]);
    resources.extend(overhead.keys().cloned());
    let one = |resource: &str| {
        let of = |c: &Value| container_ask(c).get(resource).copied().unwrap_or(0);
        let main: u64 = containers(pod)
            .filter(|(list, ..)| *list == "containers")
            .map(|(.., c)| of(c))
            .sum();
        let (mut sidecars, mut peak) = (0, 0);
        for (.., container) in containers(pod).filter(|(list, ..)| *list == "initContainers") {
            if container["restartPolicy"] == "Always" {
                sidecars += of(container);
                peak = peak.max(sidecars);
            } else {
                peak = peak.max(sidecars + of(container));
            }
        }
        peak.max(main + sidecars) + overhead.get(resource).copied().unwrap_or(0)
    };
    resources
        .into_iter()
        .map(|resource| (resource.clone(), one(&resource)))
        .collect()
}

/// What a resource name means on a node.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// `exclusive`, `mig`, `mps` or `time-slicing`.
    pub strategy: &'static str,
    /// Written as in a resource name: `1g.10gb.me`.
    pub profile: Option<String>,
    pub model: Option<String>,
    /// MiB of a share, if a label says.
    pub memory: Option<u64>,
}

/// Reads a node's labels for one resource. `None` if the node has none of it, or labels are missing
/// or contradictory.
pub fn read(node: &Node, resource: &str) -> Option<Reading> {
    let total = node.allocatable.get(resource).copied().filter(|total| *total > 0)?;
    let renamed = resource.ends_with(".shared");
    let base = resource.strip_suffix(".shared").unwrap_or(resource);
    let label = |suffix: &str| node.labels.get(&format!("{base}.{suffix}")).map(String::as_str);
    let number = |suffix: &str| {
        label(suffix)
            .map_or(Ok(None), |text| text.parse::<u64>().map(Some))
            .ok()
    };
    let (replicas, gpus, memory) = (
        number("replicas")?,
        number("count")?,
        number("memory")?.filter(|mib| *mib > 0),
    );
    let suffixed = label("product").map(|product| product.ends_with("-SHARED"));
    let product = label("product").map(|product| product.strip_suffix("-SHARED").unwrap_or(product));
    let (model, of_label) = match product.map(|product| product.split_once("-MIG-").ok_or(product)) {
        None => (None, None),
        Some(Err(model)) => (Some(model), None),
        Some(Ok((model, profile))) => (Some(model), Some(profile)),
    };
    if of_label == Some("INVALID") {
        return None;
    }
    let profile = base.strip_prefix("nvidia.com/mig-").or(of_label);
    let shared = suffixed != Some(renamed);
    let strategy = match label("sharing-strategy")? {
        "none" if renamed || suffixed == Some(true) || replicas.is_some_and(|n| n != 1) => return None,
        "none" if profile.is_some() => "mig",
        "none" => "exclusive",
        _ if !shared || replicas.unwrap_or(0) < 2 => return None,
        "time-slicing" => "time-slicing",
        "mps" if profile.is_none() => "mps",
        _ => return None,
    };
    // Capacity is devices times replicas. Less is normal, more is contradictory.
    if gpus.is_some_and(|gpus| total > gpus * replicas.unwrap_or(1)) {
        return None;
    }
    Some(Reading {
        strategy,
        profile: profile.map(str::to_owned),
        model: model.map(str::to_owned),
        memory: if strategy == "mps" {
            memory.map(|mib| mib / replicas.unwrap_or(1))
        } else {
            memory
        },
    })
}

/// Whether the node reconfigures MIG.
pub fn is_paused(node: &Node) -> bool {
    let label = |key: &str| node.labels.get(&format!("nvidia.com/{key}")).map_or("", String::as_str);
    !matches!(label("mig.config.state"), "" | "success") || label("gpu.deploy.device-plugin") == "paused-for-mig-change"
}

/// Whether the product label contains the policy's product as consecutive words.
fn is_product(model: &str, wanted: &str) -> bool {
    let (model, wanted) = (
        format!("-{}-", model.to_lowercase()),
        format!("-{}-", wanted.to_lowercase()),
    );
    model.contains(&wanted)
}

/// Whether a rule allows what a node offers.
pub fn allows(rule: &SharingRule, reading: &Reading) -> bool {
    let profile = reading.profile.as_ref();
    rule.strategy.as_str() == reading.strategy
        && profile.is_none_or(|p| {
            rule.profiles.is_empty() || rule.profiles.iter().any(|r| r.to_string().replace('+', ".") == *p)
        })
        && (rule.products.is_empty()
            || reading
                .model
                .as_ref()
                .is_some_and(|m| rule.products.iter().any(|p| is_product(m, p.as_str()))))
}

/// Whether a share has enough memory, by labels or the profile's name.
fn has_memory(reading: &Reading, needed: Option<u64>) -> bool {
    let nominal = || {
        let gigabytes = reading.profile.as_ref()?.split_once("g.")?.1.split_once("gb")?.0;
        Some(gigabytes.parse::<u64>().ok()? * 1024)
    };
    needed.is_none_or(|needed| reading.memory.or_else(nominal).is_some_and(|has| has >= needed))
}

/// Whether a node with `used` taken can hold `ask` under one of `rules`, or why not.
pub fn can_hold<'r>(
    node: &Node,
    used: &GpuRequest,
    ask: &GpuRequest,
    memory: Option<u64>,
    mut rules: impl Iterator<Item = &'r SharingRule>,
) -> Result<(), String> {
    if is_paused(node) {
        return Err("is paused".to_owned());
    }
    for (resource, needed) in ask {
        let total = node.allocatable.get(resource).copied().unwrap_or(0);
        if total < needed + used.get(resource).copied().unwrap_or(0) {
            return Err(format!("has too little {resource}"));
        }
    }
    let readings: Option<Vec<Reading>> = ask.keys().map(|resource| read(node, resource)).collect();
    let readings = readings.ok_or("is doubtful")?;
    if rules.any(|rule| readings.iter().all(|one| allows(rule, one) && has_memory(one, memory))) {
        Ok(())
    } else {
        Err(format!("is not what the policy allows: {readings:?}"))
    }
}

/// Whether the pod's `nodeSelector` and required node affinity match the node, as in the in-tree
/// filter.
pub fn selects(pod: &Value, node: &Node) -> bool {
    let selector = pod["spec"]["nodeSelector"].as_object();
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    selector
        .into_iter()
        .flatten()
        .all(|(key, value)| node.labels.get(key).map(String::as_str) == value.as_str())
        && (required.is_null()
            || required["nodeSelectorTerms"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|term| term_matches(term, node)))
}

/// Whether a node can match all expressions of a term. Tries each label with every value in them,
/// with the next lower and higher numbers, with another value, and without one.
fn can_be_met(expressions: &[Value]) -> bool {
    let named = |e: &Value| e["values"].as_array().cloned().unwrap_or_default();
    let words: Vec<String> = expressions
        .iter()
        .flat_map(named)
        .filter_map(|value| value.as_str().map(str::to_owned))
        .flat_map(|word| {
            let adjacent = word
                .parse::<i64>()
                .ok()
                .map(|n| [(n - 1).to_string(), (n + 1).to_string()]);
            [word].into_iter().chain(adjacent.into_iter().flatten())
        })
        .chain(["another".to_owned()])
        .collect();
    expressions.iter().all(|one| {
        let same: Vec<&Value> = expressions.iter().filter(|e| e["key"] == one["key"]).collect();
        let holds = |value: Option<&str>| same.iter().all(|e| expression_matches(e, value));
        holds(None) || words.iter().any(|word| holds(Some(word)))
    })
}

/// The values of a label that the pod's constraints allow, for each term that a node can match.
/// `None` if a term does not list values.
pub fn values_left(pod: &Value, key: &str) -> Option<Vec<Vec<String>>> {
    let selector: Vec<Value> = pod["spec"]["nodeSelector"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}))
        .collect();
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let no_term = vec![json!({"matchExpressions": [], "matchFields": [null]})];
    let terms = required["nodeSelectorTerms"].as_array().unwrap_or(&no_term);
    let alternatives = terms.iter().filter(|term| !is_empty_term(term)).map(|term| {
        let own = term["matchExpressions"].as_array().into_iter().flatten();
        own.chain(&selector).cloned().collect::<Vec<Value>>()
    });
    let left = alternatives.filter(|all| can_be_met(all)).map(|all| {
        let all: Vec<&Value> = all.iter().filter(|e| e["key"] == key).collect();
        let listed = all.iter().find(|e| e["operator"] == "In")?["values"].as_array()?;
        let possible = listed
            .iter()
            .filter_map(Value::as_str)
            .filter(|v| all.iter().all(|e| expression_matches(e, Some(v))));
        Some(possible.map(str::to_owned).collect())
    });
    left.collect()
}

/// A term without any expression matches no node.
fn is_empty_term(term: &Value) -> bool {
    ["matchExpressions", "matchFields"]
        .iter()
        .all(|list| term[*list].as_array().is_none_or(Vec::is_empty))
}

fn term_matches(term: &Value, node: &Node) -> bool {
    let list = |key: &str| term[key].as_array().cloned().unwrap_or_default();
    let (labels, fields) = (list("matchExpressions"), list("matchFields"));
    !is_empty_term(term)
        && labels
            .iter()
            .all(|e| expression_matches(e, node.labels.get(e["key"].as_str().unwrap()).map(String::as_str)))
        && fields.iter().all(|e| expression_matches(e, Some(&node.name)))
}

fn expression_matches(expression: &Value, label: Option<&str>) -> bool {
    let values: Vec<&str> = expression["values"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let listed = label.is_some_and(|label| values.contains(&label));
    let compare = |holds: fn(&i64, &i64) -> bool| {
        let pair = label
            .and_then(|l| l.parse().ok())
            .zip(values.first().and_then(|v| v.parse().ok()));
        pair.is_some_and(|(label, bound)| holds(&label, &bound))
    };
    match expression["operator"].as_str().unwrap() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        "Gt" => compare(i64::gt),
        "Lt" => compare(i64::lt),
        other => panic!("operator {other}"),
    }
}
