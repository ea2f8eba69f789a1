//! Pod templates: where workloads keep them, and the pods that controllers make of them.

use serde_json::{Map, Value, json};

/// Where the kinds that we know keep their pod templates; `*` stands for every member of a list or object.
const PLACES: &[(&[&str], &[&str])] = &[
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

/// The places of the templates of a kind; `None` for a kind that is not known.
pub fn places(kind: &str) -> Option<&'static [&'static str]> {
    PLACES
        .iter()
        .find(|(kinds, _)| kinds.contains(&kind))
        .map(|(_, places)| *places)
}

/// The pod templates of an object. A kind that is not known is looked at where most keep theirs.
pub fn templates<'v>(kind: &str, object: &'v Value) -> Vec<&'v Value> {
    let mut found = Vec::new();
    for place in places(kind).unwrap_or(&["/spec/template"]) {
        gather(object, place.trim_start_matches('/'), &mut found);
    }
    // A template without containers is something else under the same name, or not finished yet.
    found.retain(|template| template.pointer("/spec/containers").is_some_and(Value::is_array));
    found
}

fn gather<'v>(value: &'v Value, place: &str, found: &mut Vec<&'v Value>) {
    let (step, rest) = place.split_once('/').unwrap_or((place, ""));
    let mut go = |next: &'v Value| {
        if rest.is_empty() {
            found.push(next);
        } else {
            gather(next, rest, found);
        }
    };
    match value {
        Value::Array(items) if step == "*" => items.iter().for_each(go),
        Value::Object(members) if step == "*" => members.values().for_each(go),
        Value::Object(members) => {
            if let Some(next) = members.get(step) {
                go(next);
            }
        }
        _ => {}
    }
}

/// The pod that a controller makes of a template: its name is generated, its labels are the template's. `None` when the template is no
/// object.
pub fn pod_of(template: &Value, owner: &str, namespace: &str) -> Option<Value> {
    let mut pod = template.clone();
    let fields = pod.as_object_mut()?;
    fields.insert("apiVersion".to_owned(), json!("v1"));
    fields.insert("kind".to_owned(), json!("Pod"));
    let metadata = metadata(fields)?;
    metadata.remove("name");
    metadata.insert("generateName".to_owned(), json!(format!("{owner}-")));
    metadata.insert("namespace".to_owned(), json!(namespace));
    Some(pod)
}

/// The metadata of an object, made where it is missing.
pub fn metadata(fields: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
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
    fn every_known_place_is_found() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}});
        for (kinds, places) in PLACES {
            for place in *places {
                // A document that holds one template at this place, with one member wherever every member counts.
                let object =
                    place
                        .trim_start_matches('/')
                        .rsplit('/')
                        .fold(template.clone(), |inner, step| match step {
                            "*" => json!([inner]),
                            step => json!({ step: inner }),
                        });
                for kind in *kinds {
                    assert_eq!(templates(kind, &object), [&template], "{kind} {place}");
                }
            }
        }
    }

    #[test]
    fn kinds_that_are_not_known_are_looked_at_in_the_usual_place() {
        let object = json!({"spec": {"template": {"spec": {"containers": [{}]}}}});
        assert_eq!(templates("Rollout", &object).len(), 1);
        assert!(templates("Certificate", &json!({"spec": {"template": {"x": 1}}})).is_empty());
        assert!(templates("Deployment", &json!({"spec": {"template": null}})).is_empty());
        let roles = json!({"spec": {"pytorchReplicaSpecs": {
            "Master": {"template": {"spec": {"containers": []}}}, "Worker": {"template": {"spec": {"containers": []}}}}}});
        assert_eq!(templates("PyTorchJob", &roles).len(), 2);
    }
}
