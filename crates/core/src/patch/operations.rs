//! Edits as a JSON Patch (RFC 6902) of one document.
//!
//! If an operation does not apply, the API server fails the user's request with status 500,
//! whatever `failurePolicy` says. So a missing parent is added, and only what exists is removed.

use json_patch::jsonptr::{Pointer, PointerBuf};
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use serde_json::{Map, Value, json};

use super::edit::Edit;
use crate::gpu::GpuResource;
use crate::k8s::container::Container;
use crate::k8s::quantity::RawQuantity;
use crate::k8s::{ContainerKind, Operator, Pairs, Pod, Requirement};

const SCHEDULER_NAME: &Pointer = Pointer::from_static("/spec/schedulerName");
const ANNOTATIONS: &Pointer = Pointer::from_static("/metadata/annotations");
const AFFINITY: &Pointer = Pointer::from_static("/spec/affinity");
const NODE_AFFINITY: &Pointer = Pointer::from_static("/spec/affinity/nodeAffinity");
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// The patch that makes `edits` to `pod`.
pub fn build_patch(pod: &Pod<'_>, edits: &[Edit]) -> Patch {
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
                    let resources = container_field(*kind, *index, "resources");
                    set_resource(&resources, container, *resource, *count, &mut operations);
                }
            }
            Edit::NodeRequirements(requirements) => add_requirements(pod, requirements, &mut operations),
            Edit::Scheduler(name) => operations.push(add(SCHEDULER_NAME.to_buf(), json!(name))),
            Edit::EnvVar {
                kind,
                index,
                name,
                value,
            } => {
                if let Some(container) = pod.spec.container(*kind, *index) {
                    let variable = json!({ "name": name, "value": value });
                    let list = container_field(*kind, *index, "env");
                    operations.push(if container.env.is_empty() {
                        add(list, json!([variable]))
                    } else {
                        add(list.with_trailing_token("-"), variable)
                    });
                }
            }
            Edit::Annotation { key, value } => operations.push(if pod.metadata.annotations.is_empty() {
                add(ANNOTATIONS.to_buf(), json!({ *key: value }))
            } else {
                add(ANNOTATIONS.with_trailing_token(*key), json!(value))
            }),
        }
    }
    Patch(operations)
}

fn add(path: PointerBuf, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path, value })
}

fn container_field(kind: ContainerKind, index: usize, field: &str) -> PointerBuf {
    PointerBuf::from_tokens(["spec", kind.list(), &index.to_string(), field])
}

/// Sets limits always, and requests only if they name a GPU: Kubernetes fills missing requests from
/// the limits, because it sets defaults again after a patch.
fn set_resource(
    resources: &Pointer,
    container: &Container<'_>,
    resource: GpuResource,
    count: u64,
    operations: &mut Vec<PatchOperation>,
) {
    let (limits, requests) = (&container.resources.limits, &container.resources.requests);
    set_in_list(
        resources.with_trailing_token("limits"),
        limits,
        resource,
        count,
        operations,
    );
    if requests.iter().any(|(key, _)| GpuResource::is_gpu_name(key)) {
        set_in_list(
            resources.with_trailing_token("requests"),
            requests,
            resource,
            count,
            operations,
        );
    }
}

fn set_in_list(
    path: PointerBuf,
    list: &Pairs<'_, RawQuantity<'_>>,
    resource: GpuResource,
    count: u64,
    operations: &mut Vec<PatchOperation>,
) {
    let name = resource.to_string();
    if list.is_empty() {
        // The list may be missing, null or empty. Adding the whole list is right for all three.
        operations.push(add(path, json!({ name: count.to_string() })));
        return;
    }
    for (key, _) in list
        .iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key) && ***key != *name)
    {
        operations.push(PatchOperation::Remove(RemoveOperation {
            path: path.with_trailing_token(&**key),
        }));
    }
    // The right count in another spelling, such as `1k`, stays as the user wrote it.
    if list.get(&name).is_none_or(|quantity| quantity.to_count() != Ok(count)) {
        operations.push(add(path.with_trailing_token(&name), json!(count.to_string())));
    }
}

fn add_requirements(pod: &Pod<'_>, requirements: &[Requirement<'_>], operations: &mut Vec<PatchOperation>) {
    let expressions: Vec<Value> = requirements.iter().map(expression).collect();
    let selector = || json!({ "nodeSelectorTerms": [{ "matchExpressions": expressions }] });
    let Some(affinity) = &pod.spec.affinity else {
        let affinity = json!({ "nodeAffinity": { REQUIRED: selector() } });
        return operations.push(add(AFFINITY.to_buf(), affinity));
    };
    let Some(node_affinity) = &affinity.node_affinity else {
        return operations.push(add(NODE_AFFINITY.to_buf(), json!({ REQUIRED: selector() })));
    };
    let required_path = NODE_AFFINITY.with_trailing_token(REQUIRED);
    let Some(required) = &node_affinity.required else {
        return operations.push(add(required_path, selector()));
    };
    for (index, term) in required.node_selector_terms.iter().enumerate() {
        // A term without expressions matches no node. With an expression, it would match some.
        if term.is_empty() {
            continue;
        }
        let mut list = required_path.clone();
        list.push_back("nodeSelectorTerms");
        list.push_back(index);
        list.push_back("matchExpressions");
        if term.has_expression_list() {
            list.push_back("-");
            operations.extend(
                expressions
                    .iter()
                    .map(|expression| add(list.clone(), expression.clone())),
            );
        } else {
            operations.push(add(list, json!(expressions)));
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

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Pod};

    use super::*;

    fn patched(pod: &str, edits: &[Edit]) -> Value {
        let patch = build_patch(&serde_json::from_str(pod).unwrap(), edits);
        let mut document: Value = serde_json::from_str(pod).unwrap();
        json_patch::patch(&mut document, &patch).unwrap();
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
    fn resources_of_every_shape_are_rewritten() {
        for (resources, expected) in [
            (
                json!({"limits":{"nvidia.com/gpu":"4","cpu":"1"},"requests":{"nvidia.com/gpu":"4","cpu":"500m"}}),
                json!({"limits":{"nvidia.com/gpu.shared":"1","cpu":"1"},"requests":{"nvidia.com/gpu.shared":"1","cpu":"500m"}}),
            ),
            (
                json!({"limits":{"nvidia.com/gpu":4}}),
                json!({"limits":{"nvidia.com/gpu.shared":"1"}}),
            ),
            (
                json!({"limits":null,"requests":{"nvidia.com/gpu":"4"}}),
                json!({"limits":{"nvidia.com/gpu.shared":"1"},"requests":{"nvidia.com/gpu.shared":"1"}}),
            ),
            (
                json!({"limits":{"nvidia.com/gpu":"1","nvidia.com/mig-1g.10gb":"0","nvidia.com/gpu.shared":"2"},"requests":{"cpu":"1"}}),
                json!({"limits":{"nvidia.com/gpu.shared":"1"},"requests":{"cpu":"1"}}),
            ),
            // The right count stays as the user spells it.
            (
                json!({"limits":{"nvidia.com/gpu.shared":"1000m"}}),
                json!({"limits":{"nvidia.com/gpu.shared":"1000m"}}),
            ),
        ] {
            let container = Container::new("c").set("/resources", resources);
            let pod = Pod::new("p").container(container).to_string();
            assert_eq!(
                patched(&pod, &[resource(1)])["spec"]["containers"][0]["resources"],
                expected,
                "{pod}"
            );
        }
    }

    #[test]
    fn requirements_are_added_to_every_term_that_can_match() {
        let added = json!([{"key":"k","operator":"In","values":["v"]},{"key":"l","operator":"DoesNotExist"}]);
        let edit = Edit::NodeRequirements(vec![
            Requirement::new("k", Operator::In, ["v"]),
            Requirement::new("l", Operator::DoesNotExist, std::iter::empty::<String>()),
        ]);
        let only_added = json!({REQUIRED:{"nodeSelectorTerms":[{"matchExpressions":added}]}});
        let existing = json!({"key":"zone","operator":"Exists"});
        for (case, spec, expected) in [
            ("no affinity", json!({}), only_added.clone()),
            ("null", json!({"affinity":null}), only_added.clone()),
            (
                "other affinity",
                json!({"affinity":{"podAffinity":{"x":1}}}),
                only_added.clone(),
            ),
            (
                "null node affinity",
                json!({"affinity":{"nodeAffinity":null}}),
                only_added.clone(),
            ),
            (
                "preferences stay",
                json!({"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[1]}}}),
                json!({"preferredDuringSchedulingIgnoredDuringExecution":[1],REQUIRED:{"nodeSelectorTerms":[{"matchExpressions":added}]}}),
            ),
            (
                "each term gets the requirements; an empty one stays empty",
                json!({"affinity":{"nodeAffinity":{REQUIRED:{"nodeSelectorTerms":[
                    {"matchExpressions":[existing]}, {}, {"matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]}
                ]}}}}),
                json!({REQUIRED:{"nodeSelectorTerms":[
                    {"matchExpressions":[existing, added[0], added[1]]}, {},
                    {"matchExpressions":added, "matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]}
                ]}}),
            ),
        ] {
            let pod = json!({"spec": spec}).to_string();
            assert_eq!(
                patched(&pod, std::slice::from_ref(&edit))["spec"]["affinity"]["nodeAffinity"],
                expected,
                "{case}"
            );
        }
    }

    #[test]
    fn a_variable_is_appended() {
        let added = json!({"name":"NVIDIA_VISIBLE_DEVICES","value":"void"});
        for (env, expected) in [
            (json!(null), json!([added])),
            (json!([]), json!([added])),
            (
                json!([{"name":"A","valueFrom":{"new":{}}}]),
                json!([{"name":"A","valueFrom":{"new":{}}}, added]),
            ),
        ] {
            for (kind, list) in [
                (ContainerKind::Main, "containers"),
                (ContainerKind::Sidecar, "initContainers"),
                (ContainerKind::Ephemeral, "ephemeralContainers"),
            ] {
                let container = json!({"name":"c","restartPolicy":"Always","env":env});
                let edit = Edit::EnvVar {
                    kind,
                    index: 1,
                    name: "NVIDIA_VISIBLE_DEVICES",
                    value: "void",
                };
                let pod = json!({"spec": {list: [{"name":"a"}, container]}}).to_string();
                let document = patched(&pod, &[edit]);
                assert_eq!(document["spec"][list][1]["env"], expected, "{list}");
                assert_eq!(document["spec"][list][0], json!({"name":"a"}));
            }
        }
    }

    #[test]
    fn annotations_are_added_or_replaced() {
        let edit = Edit::Annotation {
            key: "apportion.dev/decision",
            value: "{}".to_owned(),
        };
        for metadata in [
            json!({"name":"p"}),
            json!({"annotations":null}),
            json!({"annotations":{}}),
        ] {
            let document = patched(&json!({"metadata": metadata}).to_string(), std::slice::from_ref(&edit));
            assert_eq!(
                document["metadata"]["annotations"],
                json!({"apportion.dev/decision":"{}"})
            );
        }
        let document = patched(
            &json!({"metadata": {"annotations": {"a/b~c": "d", "apportion.dev/decision": "forged"}}}).to_string(),
            std::slice::from_ref(&edit),
        );
        assert_eq!(
            document["metadata"]["annotations"],
            json!({"a/b~c":"d","apportion.dev/decision":"{}"})
        );
    }

    /// The API server decodes these bytes, and the pointers escape `/` and `~`.
    #[test]
    fn operations_serialize_as_in_rfc_6902() {
        let container = Container::new("c")
            .limit("nvidia.com/gpu", "4")
            .limit("nvidia.com/mig-1g.10gb", "0");
        let pod = Pod::new("p").annotation("a", "b").container(container).to_string();
        let edits = [
            resource(1),
            Edit::NodeRequirements(vec![Requirement::new("k", Operator::NotIn, ["v"])]),
            Edit::Annotation {
                key: "example.com/a~b",
                value: "{}".to_owned(),
            },
        ];
        let patch = build_patch(&serde_json::from_str(&pod).unwrap(), &edits);
        let expected = [
            r#"{"op":"remove","path":"/spec/containers/0/resources/limits/nvidia.com~1gpu"}"#,
            r#"{"op":"remove","path":"/spec/containers/0/resources/limits/nvidia.com~1mig-1g.10gb"}"#,
            r#"{"op":"add","path":"/spec/containers/0/resources/limits/nvidia.com~1gpu.shared","value":"1"}"#,
            r#"{"op":"add","path":"/spec/affinity","value":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"k","operator":"NotIn","values":["v"]}]}]}}}}"#,
            r#"{"op":"add","path":"/metadata/annotations/example.com~1a~0b","value":"{}"}"#,
        ];
        assert_eq!(
            serde_json::to_string(&patch).unwrap(),
            format!("[{}]", expected.join(","))
        );
    }
}
