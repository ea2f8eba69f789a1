//! Edits as RFC 6902 operations on one document.
//!
//! An operation that does not apply fails the user's request with a 500, whatever `failurePolicy` says; so parents are added where they
//! are missing, and nothing is removed that is not there.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::edit::Edit;
use crate::gpu::GpuResource;
use crate::k8s::container::Container;
use crate::k8s::quantity::RawQuantity;
use crate::k8s::{Operator, Pairs, Pod, Requirement};

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Sets a member or inserts into a list.
    Add {
        /// Where: a JSON Pointer.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a member away.
    Remove {
        /// Where: a JSON Pointer.
        path: String,
    },
}

/// The operations that make these edits to `pod`.
pub fn patch(pod: &Pod<'_>, edits: &[Edit]) -> Vec<Operation> {
    let mut operations = Vec::new();
    for edit in edits {
        match edit {
            Edit::Resource {
                kind,
                index,
                resource,
                count,
            } => {
                if let Some(container) = pod.spec.container(*kind, *index) {
                    let base = format!("/spec/{}/{index}/resources", kind.list());
                    set_resource(&base, container, *resource, *count, &mut operations);
                }
            }
            Edit::NodeRequirements(requirements) => add_requirements(pod, requirements, &mut operations),
            Edit::Scheduler(name) => {
                operations.push(Operation::Add {
                    path: "/spec/schedulerName".to_owned(),
                    value: json!(name),
                });
            }
            Edit::Variable {
                kind,
                index,
                name,
                value,
            } => {
                if let Some(container) = pod.spec.container(*kind, *index) {
                    let variable = json!({ "name": name, "value": value });
                    let list = format!("/spec/{}/{index}/env", kind.list());
                    let (path, value) = if container.env.is_empty() {
                        (list, json!([variable]))
                    } else {
                        (format!("{list}/-"), variable)
                    };
                    operations.push(Operation::Add { path, value });
                }
            }
            Edit::Annotation { key, value } => {
                let (path, value) = if pod.metadata.annotations.is_empty() {
                    ("/metadata/annotations".to_owned(), json!({ *key: value }))
                } else {
                    (format!("/metadata/annotations/{}", escape(key)), json!(value))
                };
                operations.push(Operation::Add { path, value });
            }
        }
    }
    operations
}

/// Limits always, and requests where they name a GPU: a key that is missing from requests is filled from the limits, since
/// Kubernetes sets defaults again after a patch.
fn set_resource(
    base: &str,
    container: &Container<'_>,
    resource: GpuResource,
    count: u64,
    operations: &mut Vec<Operation>,
) {
    let requests = &container.resources.requests;
    set_in_list(
        &format!("{base}/limits"),
        &container.resources.limits,
        resource,
        count,
        operations,
    );
    if requests.iter().any(|(key, _)| GpuResource::is_gpu_name(key)) {
        set_in_list(&format!("{base}/requests"), requests, resource, count, operations);
    }
}

fn set_in_list(
    base: &str,
    list: &Pairs<'_, RawQuantity<'_>>,
    resource: GpuResource,
    count: u64,
    operations: &mut Vec<Operation>,
) {
    let name = resource.to_string();
    if list.is_empty() {
        // Missing, null and empty read alike, and adding the whole list is right for each of them.
        operations.push(Operation::Add {
            path: base.to_owned(),
            value: json!({ name: count.to_string() }),
        });
        return;
    }
    for (key, _) in list
        .iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key) && ***key != *name)
    {
        operations.push(Operation::Remove {
            path: format!("{base}/{}", escape(key)),
        });
    }
    // The same count in another spelling (`1k`) is left as the user wrote it.
    if list.get(&name).is_none_or(|there| there.to_count() != Ok(count)) {
        let path = format!("{base}/{}", escape(&name));
        operations.push(Operation::Add {
            path,
            value: json!(count.to_string()),
        });
    }
}

const NODE_AFFINITY: &str = "/spec/affinity/nodeAffinity";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

fn add_requirements(pod: &Pod<'_>, requirements: &[Requirement<'_>], operations: &mut Vec<Operation>) {
    let expressions: Vec<Value> = requirements.iter().map(expression).collect();
    let term = || json!({ "nodeSelectorTerms": [{ "matchExpressions": expressions }] });
    let mut add = |path: String, value: Value| operations.push(Operation::Add { path, value });
    let Some(affinity) = &pod.spec.affinity else {
        return add(
            "/spec/affinity".to_owned(),
            json!({ "nodeAffinity": { REQUIRED: term() } }),
        );
    };
    let Some(node_affinity) = &affinity.node_affinity else {
        return add(NODE_AFFINITY.to_owned(), json!({ REQUIRED: term() }));
    };
    let Some(required) = &node_affinity.required else {
        return add(format!("{NODE_AFFINITY}/{REQUIRED}"), term());
    };
    for (at, alternative) in required.node_selector_terms.iter().enumerate() {
        // A term without any expression matches no node; one more expression would make it match some.
        if alternative.is_empty() {
            continue;
        }
        let list = format!("{NODE_AFFINITY}/{REQUIRED}/nodeSelectorTerms/{at}/matchExpressions");
        if alternative.has_expression_list() {
            for expression in &expressions {
                add(format!("{list}/-"), expression.clone());
            }
        } else {
            add(list, json!(expressions));
        }
    }
}

fn expression(requirement: &Requirement<'_>) -> Value {
    let mut object = Map::new();
    object.insert("key".to_owned(), json!(&*requirement.key));
    object.insert("operator".to_owned(), json!(requirement.operator.as_str()));
    if !matches!(requirement.operator, Operator::Exists | Operator::DoesNotExist) {
        let values: Vec<&str> = requirement.values.iter().map(|value| &**value).collect();
        object.insert("values".to_owned(), json!(values));
    }
    Value::Object(object)
}

/// A token of a JSON Pointer (RFC 6901).
fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::ContainerKind;

    /// Applies the patch with an implementation that is not ours.
    fn applied(pod: &str, edits: &[Edit]) -> Value {
        let operations = patch(&serde_json::from_str(pod).unwrap(), edits);
        let mut document: Value = serde_json::from_str(pod).unwrap();
        let operations: json_patch::Patch = serde_json::from_value(serde_json::to_value(&operations).unwrap()).unwrap();
        json_patch::patch(&mut document, &operations).unwrap();
        document
    }

    fn resource(count: u64) -> Edit {
        Edit::Resource {
            kind: ContainerKind::Main,
            index: 0,
            resource: GpuResource::GpuShared,
            count,
        }
    }

    #[test]
    fn every_shape_of_resources_is_rewritten() {
        for (resources, expected) in [
            (
                r#"{"limits":{"nvidia.com/gpu":"4","cpu":"1"},"requests":{"nvidia.com/gpu":"4","cpu":"500m"}}"#,
                json!({"limits":{"nvidia.com/gpu.shared":"1","cpu":"1"},"requests":{"nvidia.com/gpu.shared":"1","cpu":"500m"}}),
            ),
            (
                r#"{"limits":{"nvidia.com/gpu":4}}"#,
                json!({"limits":{"nvidia.com/gpu.shared":"1"}}),
            ),
            (
                r#"{"limits":null,"requests":{"nvidia.com/gpu":"4"}}"#,
                json!({"limits":{"nvidia.com/gpu.shared":"1"},"requests":{"nvidia.com/gpu.shared":"1"}}),
            ),
            (
                r#"{"limits":{"nvidia.com/gpu":"1","nvidia.com/mig-1g.10gb":"0","nvidia.com/gpu.shared":"2"},"requests":{"cpu":"1"}}"#,
                json!({"limits":{"nvidia.com/gpu.shared":"1"},"requests":{"cpu":"1"}}),
            ),
            // The user's own spelling of the right count stays.
            (
                r#"{"limits":{"nvidia.com/gpu.shared":"1000m"}}"#,
                json!({"limits":{"nvidia.com/gpu.shared":"1000m"}}),
            ),
        ] {
            let pod = format!(r#"{{"spec":{{"containers":[{{"name":"c","resources":{resources}}}]}}}}"#);
            assert_eq!(
                applied(&pod, &[resource(1)])["spec"]["containers"][0]["resources"],
                expected,
                "{resources}"
            );
        }
    }

    #[test]
    fn requirements_are_added_to_every_alternative_that_can_match() {
        let ours = json!([{"key":"k","operator":"In","values":["v"]},{"key":"l","operator":"DoesNotExist"}]);
        let edit = Edit::NodeRequirements(vec![
            Requirement::new("k", Operator::In, ["v"]),
            Requirement::new("l", Operator::DoesNotExist, std::iter::empty::<String>()),
        ]);
        let alone = json!({REQUIRED:{"nodeSelectorTerms":[{"matchExpressions":ours}]}});
        let theirs = json!({"key":"zone","operator":"Exists"});
        for (case, spec, expected) in [
            ("no affinity", json!({}), alone.clone()),
            ("null", json!({"affinity":null}), alone.clone()),
            (
                "other affinity",
                json!({"affinity":{"podAffinity":{"x":1}}}),
                alone.clone(),
            ),
            (
                "null node affinity",
                json!({"affinity":{"nodeAffinity":null}}),
                alone.clone(),
            ),
            (
                "preferences stay",
                json!({"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[1]}}}),
                json!({"preferredDuringSchedulingIgnoredDuringExecution":[1],REQUIRED:{"nodeSelectorTerms":[{"matchExpressions":ours}]}}),
            ),
            (
                "alternatives are ANDed one by one; an empty one stays empty",
                json!({"affinity":{"nodeAffinity":{REQUIRED:{"nodeSelectorTerms":[
                    {"matchExpressions":[theirs]}, {}, {"matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]}
                ]}}}}),
                json!({REQUIRED:{"nodeSelectorTerms":[
                    {"matchExpressions":[theirs, ours[0], ours[1]]}, {},
                    {"matchExpressions":ours, "matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]}
                ]}}),
            ),
        ] {
            let pod = json!({"spec": spec}).to_string();
            assert_eq!(
                applied(&pod, std::slice::from_ref(&edit))["spec"]["affinity"]["nodeAffinity"],
                expected,
                "{case}"
            );
        }
    }

    #[test]
    fn a_variable_comes_behind_those_that_are_there() {
        let ours = json!({"name":"NVIDIA_VISIBLE_DEVICES","value":"void"});
        for (env, expected) in [
            (json!(null), json!([ours])),
            (json!([]), json!([ours])),
            (
                json!([{"name":"A","valueFrom":{"new":{}}}]),
                json!([{"name":"A","valueFrom":{"new":{}}}, ours]),
            ),
        ] {
            for (kind, list) in [
                (ContainerKind::Main, "containers"),
                (ContainerKind::Sidecar, "initContainers"),
                (ContainerKind::Ephemeral, "ephemeralContainers"),
            ] {
                let container = json!({"name":"c","restartPolicy":"Always","env":env});
                let edit = Edit::Variable {
                    kind,
                    index: 1,
                    name: "NVIDIA_VISIBLE_DEVICES",
                    value: "void",
                };
                let pod = json!({"spec": {list: [{"name":"a"}, container]}}).to_string();
                let document = applied(&pod, &[edit]);
                assert_eq!(document["spec"][list][1]["env"], expected, "{list}");
                assert_eq!(document["spec"][list][0], json!({"name":"a"}));
            }
        }
    }

    #[test]
    fn annotations_are_set_whatever_is_there() {
        let edit = Edit::Annotation {
            key: "apportion.dev/decision",
            value: "{}".to_owned(),
        };
        for metadata in [
            json!({"name":"p"}),
            json!({"annotations":null}),
            json!({"annotations":{}}),
        ] {
            let document = applied(&json!({"metadata": metadata}).to_string(), std::slice::from_ref(&edit));
            assert_eq!(
                document["metadata"]["annotations"],
                json!({"apportion.dev/decision":"{}"})
            );
        }
        let document = applied(
            &json!({"metadata": {"annotations": {"a/b~c": "d", "apportion.dev/decision": "forged"}}}).to_string(),
            std::slice::from_ref(&edit),
        );
        assert_eq!(
            document["metadata"]["annotations"],
            json!({"a/b~c":"d","apportion.dev/decision":"{}"})
        );
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(escape("nvidia.com/gpu~x"), "nvidia.com~1gpu~0x");
    }
}
