//! Messages quote the fields of a pod in bounded length.

use apportion_core::diagnostics::{excerpt, excerpt::MAX_QUOTED};
use serde_json::{Value, json};

use super::cluster::{Cluster, filter_of, review_of};

/// A message may quote a field, its value and a few more. Without a limit, each quote would have
/// [`LONG`] characters.
const MAX_MESSAGE: usize = 8 * MAX_QUOTED;
const LONG: usize = 20_000;

#[test]
fn an_excerpt_is_cut_after_a_whole_character() {
    let fits = "ü".repeat(MAX_QUOTED);
    assert_eq!(excerpt(&fits), fits);
    assert_eq!(excerpt(&format!("{fits}x")), format!("{fits}..."));
    assert_eq!(excerpt(""), "");
}

/// Pods with a long value in each field that a message can quote.
fn pods() -> Vec<(&'static str, Value)> {
    let long = "x".repeat(LONG);
    let gpu = json!({"name": "g", "resources": {"limits": {"nvidia.com/gpu": "4"}}});
    let with = |pointer: &str, value: Value| {
        let pod = json!({"metadata": {"name": "p", "namespace": "mixed"}, "spec": {"containers": [gpu]}});
        apportion_testing::set(pod, pointer, value)
    };
    let product = |values: Value| {
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": values}]}]}}})
    };
    let many: Vec<String> = (0..LONG).map(|at| format!("Tesla-K80-{at}")).collect();
    let limit = |key: &str, value: &str| json!([{"name": "c", "resources": {"limits": {key: value}}}]);
    let profiles: serde_json::Map<String, Value> = (1..2_000)
        .map(|at| (format!("nvidia.com/mig-1g.{at}gb"), json!("1")))
        .collect();
    vec![
        (
            "container name",
            with(
                "/spec/containers",
                json!([
            {"name": long, "resources": {"limits": {"nvidia.com/gpu": "4"}}}, gpu]),
            ),
        ),
        (
            "annotation",
            with("/metadata/annotations", json!({format!("cdi.k8s.io/{long}"): "x"})),
        ),
        (
            "declared memory",
            with("/metadata/annotations", json!({"apportion.dev/gpu-memory": long})),
        ),
        (
            "resource",
            with("/spec/containers", limit(&format!("nvidia.com/mig-{long}"), "1")),
        ),
        ("quantity", with("/spec/containers", limit("nvidia.com/gpu", &long))),
        (
            "digits",
            with("/spec/containers", limit("nvidia.com/gpu", &"9".repeat(LONG))),
        ),
        (
            "profiles",
            with(
                "/spec/containers",
                json!([{"name": "c", "resources": {"limits": profiles}}]),
            ),
        ),
        (
            "host path",
            with("/spec/volumes", json!([{"hostPath": {"path": format!("/dev/{long}")}}])),
        ),
        (
            "variable",
            with(
                "/spec/containers",
                json!([{"name": "c", "env": [
            {"name": format!("CUDA_MPS_{long}"), "value": "x"}]}]),
            ),
        ),
        (
            "prefix",
            with(
                "/spec/containers/0/envFrom",
                json!([{"prefix": format!("CUDA_MPS_{long}")}]),
            ),
        ),
        (
            "mount",
            with(
                "/spec/containers/0/volumeMounts",
                json!([
            {"mountPath": format!("/run/nvidia-container-devices/{long}")}]),
            ),
        ),
        ("node name", with("/spec/nodeName", json!(long))),
        (
            "node selector",
            with("/spec/nodeSelector", json!({"nvidia.com/gpu.sharing-strategy": long})),
        ),
        (
            "product",
            with(
                "/spec/nodeSelector",
                json!({"nvidia.com/gpu.product": format!("Tesla-K80{long}")}),
            ),
        ),
        ("products", with("/spec/affinity", product(json!(many)))),
        ("wrong type", with("/spec/containers/0/env", json!(long))),
        (
            "operator",
            with(
                "/spec/affinity",
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": long}]}]}}}),
            ),
        ),
    ]
}

/// The texts for people in an answer: its message, its warnings and its audit annotations.
fn texts(answer: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let response = &answer["response"];
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let audit = response["auditAnnotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, text)| text);
    let texts = warnings.chain(audit).chain([&response["status"]["message"]]);
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn no_message_repeats_a_long_value() {
    let cluster = Cluster::new();
    let mut failures = Vec::new();
    for (name, pod) in pods() {
        let pod = pod.to_string();
        let mut messages = Vec::new();
        for namespace in ["mixed", "isolated"] {
            messages.extend(texts(&cluster.admit(&review_of(namespace, &pod, None))));
        }
        if name != "wrong type" && name != "operator" {
            let answer: Value = serde_json::from_str(&cluster.filter(&filter_of(&pod))).unwrap();
            let reasons = answer["FailedAndUnresolvableNodes"].as_object().into_iter().flatten();
            messages.extend(reasons.map(|(_, reason)| reason.to_string()));
            messages.extend(cluster.watch(&pod));
        }
        assert!(!messages.is_empty(), "{name}");
        for message in messages.iter().filter(|message| message.len() > MAX_MESSAGE) {
            failures.push(format!("{name}: {} characters: {}", message.len(), excerpt(message)));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
