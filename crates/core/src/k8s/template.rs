//! Pod templates of workloads, and the pods that controllers create from them.

use serde_json::{Map, Value, json};

/// The paths of the pod templates by kind. `*` stands for every element of a list or object.
const TEMPLATE_PATHS: &[(&[&str], &[&str])] = &[
    (
        &[
            "Deployment",
            "ReplicaSet",
            "StatefulSet",
            "DaemonSet",
            "Job",
            "ReplicationController",
        ],
        &["/spec/template"],
    ),
    (&["CronJob"], &["/spec/jobTemplate/spec/template"]),
    (&["PodTemplate"], &["/template"]),
    // jobset.x-k8s.io and leaderworkerset.x-k8s.io
    (&["JobSet"], &["/spec/replicatedJobs/*/template/spec/template"]),
    (
        &["LeaderWorkerSet"],
        &[
            "/spec/leaderWorkerTemplate/leaderTemplate",
            "/spec/leaderWorkerTemplate/workerTemplate",
        ],
    ),
    // kubeflow.org
    (&["PyTorchJob"], &["/spec/pytorchReplicaSpecs/*/template"]),
    (&["TFJob"], &["/spec/tfReplicaSpecs/*/template"]),
    (&["MPIJob"], &["/spec/mpiReplicaSpecs/*/template"]),
    (&["XGBoostJob"], &["/spec/xgbReplicaSpecs/*/template"]),
    (&["PaddleJob"], &["/spec/paddleReplicaSpecs/*/template"]),
    // ray.io
    (
        &["RayCluster"],
        &["/spec/headGroupSpec/template", "/spec/workerGroupSpecs/*/template"],
    ),
    (
        &["RayJob"],
        &[
            "/spec/rayClusterSpec/headGroupSpec/template",
            "/spec/rayClusterSpec/workerGroupSpecs/*/template",
        ],
    ),
    (
        &["RayService"],
        &[
            "/spec/rayClusterConfig/headGroupSpec/template",
            "/spec/rayClusterConfig/workerGroupSpecs/*/template",
        ],
    ),
];

/// `None` if the kind is unknown.
pub fn template_paths(kind: &str) -> Option<&'static [&'static str]> {
    TEMPLATE_PATHS
        .iter()
        .find(|(kinds, _)| kinds.contains(&kind))
        .map(|(_, paths)| *paths)
}

/// The pod templates of an object. For an unknown kind, this looks at `/spec/template`.
pub fn templates<'v>(kind: &str, object: &'v Value) -> Vec<&'v Value> {
    let mut found = Vec::new();
    for path in template_paths(kind).unwrap_or(&["/spec/template"]) {
        collect(object, path.trim_start_matches('/'), &mut found);
    }
    // `/spec/template` of an unknown kind need not be a pod template, and a template may be
    // incomplete.
    found.retain(|template| template.pointer("/spec/containers").is_some_and(Value::is_array));
    found
}

fn collect<'v>(value: &'v Value, path: &str, found: &mut Vec<&'v Value>) {
    let (step, rest) = path.split_once('/').unwrap_or((path, ""));
    let mut descend = |next: &'v Value| {
        if rest.is_empty() {
            found.push(next);
        } else {
            collect(next, rest, found);
        }
    };
    match value {
        Value::Array(items) if step == "*" => items.iter().for_each(descend),
        Value::Object(members) if step == "*" => members.values().for_each(descend),
        Value::Object(members) => {
            if let Some(next) = members.get(step) {
                descend(next);
            }
        }
        _ => {}
    }
}

/// The pod that a controller creates from a template, with a generated name. `None` if the template
/// is not an object.
pub fn pod_from_template(template: &Value, owner: &str, namespace: &str) -> Option<Value> {
    let mut pod = template.clone();
    let fields = pod.as_object_mut()?;
    fields.insert("apiVersion".to_owned(), json!("v1"));
    fields.insert("kind".to_owned(), json!("Pod"));
    let metadata = metadata_mut(fields)?;
    metadata.remove("name");
    metadata.insert("generateName".to_owned(), json!(format!("{owner}-")));
    metadata.insert("namespace".to_owned(), json!(namespace));
    Some(pod)
}

/// The metadata of an object, added if missing. `None` if it is not an object.
pub fn metadata_mut(fields: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let metadata = fields.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = json!({});
    }
    metadata.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_template_path_is_found() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}});
        for (kinds, paths) in TEMPLATE_PATHS {
            for path in *paths {
                // An object with one template at this path, and a list of one element for each `*`.
                let object =
                    path.trim_start_matches('/')
                        .rsplit('/')
                        .fold(template.clone(), |inner, step| match step {
                            "*" => json!([inner]),
                            step => json!({ step: inner }),
                        });
                for kind in *kinds {
                    assert_eq!(templates(kind, &object), [&template], "{kind} {path}");
                }
            }
        }
    }

    #[test]
    fn unknown_kinds_use_the_usual_template_path() {
        let object = json!({"spec": {"template": {"spec": {"containers": [{}]}}}});
        assert_eq!(templates("Rollout", &object).len(), 1);
        assert!(templates("Certificate", &json!({"spec": {"template": {"x": 1}}})).is_empty());
        assert!(templates("Deployment", &json!({"spec": {"template": null}})).is_empty());
        let roles = json!({"spec": {"pytorchReplicaSpecs": {
            "Master": {"template": {"spec": {"containers": []}}}, "Worker": {"template": {"spec": {"containers": []}}}}}});
        assert_eq!(templates("PyTorchJob", &roles).len(), 2);
    }
}
