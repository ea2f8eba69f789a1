//! Restores a pod to what it was before admission, as far as its annotation tells.
//!
//! A running pod requests what it was rewritten to, but its controller recreates it from a template
//! that was not rewritten. The annotation `apportion.dev/decision` tells the original request.
//! Anyone can write that annotation, so it is used only if it agrees with the pod; and a forged one
//! spoils nothing but a forecast.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use apportion_core::gpu::GpuResource;
use apportion_core::gpu::names::{
    DECISION_ANNOTATION, NVIDIA_DOMAIN, SUFFIX_MEMORY, SUFFIX_SHARING_STRATEGY, gpu_label,
};
use apportion_core::patch::DecisionRecord;

/// Reads a pod without its status and `managedFields`, which are most of the text.
pub(super) fn read(document: &str) -> serde_json::Result<Value> {
    let parts: BTreeMap<String, &RawValue> = serde_json::from_str(document)?;
    let mut pod = Map::new();
    for (key, part) in parts {
        let value = match &*key {
            "status" => continue,
            "metadata" => without(part, "managedFields")?,
            _ => serde_json::from_str(part.get())?,
        };
        pod.insert(key, value);
    }
    Ok(Value::Object(pod))
}

fn without(object: &RawValue, excluded: &str) -> serde_json::Result<Value> {
    let mut parts: BTreeMap<String, &RawValue> = serde_json::from_str(object.get())?;
    parts.remove(excluded);
    let parts = parts
        .into_iter()
        .map(|(key, part)| Ok((key, serde_json::from_str(part.get())?)));
    parts
        .collect::<serde_json::Result<Map<String, Value>>>()
        .map(Value::Object)
}

/// Removes what scheduling and admission added. Returns whether the original request is known.
///
/// Node affinity loses every requirement on a label that the webhook uses, because a requirement
/// that the owner wrote looks the same.
pub(super) fn restore(pod: &mut Value) -> bool {
    if let Some(pod) = pod.as_object_mut() {
        pod.remove("status");
    }
    if let Some(spec) = pod.pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.remove("nodeName");
    }
    let annotation = pod
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
        .and_then(|annotations| annotations.remove(DECISION_ANNOTATION));
    let record = annotation
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str::<DecisionRecord>(text).ok());
    let Some(record) = record.filter(|record| agrees(pod, record)) else {
        return false;
    };
    for list in ["containers", "initContainers"] {
        for container in containers_in(pod, list) {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            if let Some(before) = record.before.get(name) {
                let before = before.clone();
                set_gpu_counts(container, &before);
            }
        }
    }
    remove_webhook_affinity(pod);
    true
}

fn containers_in<'p>(pod: &'p mut Value, list: &str) -> impl Iterator<Item = &'p mut Value> {
    let list = pod.pointer_mut("/spec").and_then(|spec| spec.get_mut(list));
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

/// Whether every container in the record requests what the record says.
fn agrees(pod: &Value, record: &DecisionRecord) -> bool {
    record.after.iter().all(|(name, resources)| {
        let containers = ["containers", "initContainers"].into_iter().flat_map(|list| {
            let list = pod.pointer("/spec").and_then(|spec| spec.get(list));
            list.and_then(Value::as_array).into_iter().flatten()
        });
        let mut own = containers.filter(|container| container.get("name").and_then(Value::as_str) == Some(name));
        own.any(|container| {
            resources.iter().all(|(resource, count)| {
                let limit = container
                    .pointer("/resources/limits")
                    .and_then(|limits| limits.get(resource));
                limit.is_some_and(|limit| limit.as_str() == Some(&count.to_string()) || limit.as_u64() == Some(*count))
            })
        })
    })
}

fn set_gpu_counts(container: &mut Value, counts: &BTreeMap<String, u64>) {
    for list in ["limits", "requests"] {
        let resources = container
            .pointer_mut("/resources")
            .and_then(|resources| resources.get_mut(list));
        if let Some(resources) = resources.and_then(Value::as_object_mut) {
            resources.retain(|name, _| !GpuResource::is_gpu_name(name));
            for (name, count) in counts {
                resources.insert(name.clone(), Value::String(count.to_string()));
            }
        }
    }
}

fn is_webhook_label(key: &str) -> bool {
    let has = |suffix: &str| key.strip_suffix(suffix).is_some_and(|front| front.ends_with('.'));
    key.starts_with(NVIDIA_DOMAIN)
        && (key == gpu_label::PRODUCT
            || key == gpu_label::MIG_SLICES
            || has(SUFFIX_SHARING_STRATEGY)
            || has(SUFFIX_MEMORY)
            || has("product"))
}

/// Removes the webhook's requirements from the node affinity. The terms are alternatives, so if one
/// becomes empty, nothing is required any more.
fn remove_webhook_affinity(pod: &mut Value) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let Some(affinity) = pod
        .pointer_mut("/spec/affinity/nodeAffinity")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let terms = affinity
        .get_mut(REQUIRED)
        .and_then(|required| required.get_mut("nodeSelectorTerms"));
    let mut is_unconstrained = false;
    for term in terms.and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(term) = term.as_object_mut() else { continue };
        let key = |expression: &Value| expression.get("key").and_then(Value::as_str).map(str::to_owned);
        if let Some(expressions) = term.get_mut("matchExpressions").and_then(Value::as_array_mut) {
            let before = expressions.len();
            expressions.retain(|expression| !key(expression).is_some_and(|key| is_webhook_label(&key)));
            is_unconstrained |= expressions.len() < before && is_empty(term);
        }
    }
    if is_unconstrained {
        affinity.remove(REQUIRED);
    }
}

fn is_empty(term: &Map<String, Value>) -> bool {
    let none = |list: &str| term.get(list).and_then(Value::as_array).is_none_or(Vec::is_empty);
    none("matchExpressions") && none("matchFields")
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Pod, requirement};
    use serde_json::json;

    use super::*;

    const SHARED: &str = "nvidia.com/gpu.shared";

    /// A running pod that admission changed from 2 GPUs to one share, and that now has `count`.
    fn pod(count: &str) -> Pod {
        let decision = r#"{"policy":"d","strategy":"time-slicing","before":{"c":{"nvidia.com/gpu":2}},"after":{"c":{"nvidia.com/gpu.shared":1}}}"#;
        Pod::new("p")
            .annotation("apportion.dev/decision", decision)
            .on_node("n")
            .container(Container::new("c").limit("cpu", "1").limit(SHARED, count))
            .phase("Running")
    }

    /// The requirement that admission added.
    fn time_slicing() -> Value {
        requirement("nvidia.com/gpu.sharing-strategy", "In", &["time-slicing"])
    }

    fn rewritten(count: &str) -> Value {
        pod(count).node_affinity_term(&[time_slicing()]).into()
    }

    #[test]
    fn restore_removes_what_admission_added() {
        let mut restored = rewritten("1");
        assert!(restore(&mut restored));
        assert_eq!(
            restored,
            json!({"metadata": {"name": "p", "annotations": {}}, "spec": {
                "containers": [{"name": "c", "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": "2"}}}],
                "affinity": {"nodeAffinity": {}}}})
        );
    }

    #[test]
    fn read_skips_status_and_managed_fields() {
        let mut document = rewritten("1");
        document["metadata"]["managedFields"] = json!([{"manager": "kubelet"}]);
        let mut expected = rewritten("1");
        expected.as_object_mut().unwrap().remove("status");
        assert_eq!(read(&document.to_string()).unwrap(), expected);
        assert!(read(r#"{"metadata":7}"#).is_err());
    }

    #[test]
    fn restore_ignores_an_annotation_that_disagrees_with_the_pod() {
        let mut other = rewritten("3");
        assert!(!restore(&mut other));
        assert_eq!(
            other["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu.shared"],
            "3"
        );
        assert!(
            other["spec"]["affinity"]["nodeAffinity"]
                .get("requiredDuringSchedulingIgnoredDuringExecution")
                .is_some()
        );
    }

    #[test]
    fn restore_keeps_the_affinity_of_the_owner() {
        let zone = requirement("zone", "Exists", &[]);
        let mut restored = Value::from(pod("1").node_affinity_term(&[time_slicing(), zone.clone()]));
        assert!(restore(&mut restored));
        assert_eq!(
            restored.pointer(
                "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms"
            ),
            Some(&json!([{"matchExpressions": [zone]}]))
        );
    }
}
