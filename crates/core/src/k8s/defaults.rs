//! What the API server fills into a pod before it asks any webhook.
//!
//! A manifest is not yet what a webhook is sent. Two of the API server's defaults bear on what a pod asks for, and these are made
//! here, for verbs that read manifests.

use serde_json::{Map, Value};

/// Fills the requests of every container from its limits, and spells quantities as strings.
///
/// `SetDefaults_Pod` of Kubernetes' `pkg/apis/core/v1/defaults.go`: a limit without a request is a request of as much. Quantities are
/// decoded and encoded again on the way, and JSON knows them as strings alone. What is not of the expected shape is left as it is,
/// for whoever reads the pod to complain about.
pub fn fill_requests(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec") else { return };
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for resources in containers
            .into_iter()
            .flatten()
            .filter_map(|container| container.get_mut("resources")?.as_object_mut())
        {
            fill(resources);
        }
    }
}

fn fill(resources: &mut Map<String, Value>) {
    for list in ["limits", "requests"] {
        for quantity in resources
            .get_mut(list)
            .and_then(Value::as_object_mut)
            .into_iter()
            .flat_map(Map::values_mut)
        {
            if let Value::Number(number) = quantity {
                *quantity = Value::String(number.to_string());
            }
        }
    }
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else {
        return;
    };
    let requests = resources.entry("requests").or_insert(Value::Null);
    if requests.is_null() && !limits.is_empty() {
        *requests = Value::Object(Map::new());
    }
    if let Value::Object(requests) = requests {
        for (key, quantity) in limits {
            requests.entry(key).or_insert(quantity);
        }
    } else if requests.is_null() {
        resources.remove("requests");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn limits_become_requests_where_there_are_none() {
        for (resources, expected) in [
            (json!({}), json!({})),
            (json!({"limits": {}}), json!({"limits": {}})),
            (json!({"limits": null}), json!({"limits": null})),
            (json!({"requests": {"cpu": 1}}), json!({"requests": {"cpu": "1"}})),
            (
                json!({"limits": {"nvidia.com/gpu": 4}}),
                json!({"limits": {"nvidia.com/gpu": "4"}, "requests": {"nvidia.com/gpu": "4"}}),
            ),
            (
                json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": 0.5}}),
                json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "0.5", "memory": "1Gi"}}),
            ),
            (
                json!({"limits": {"cpu": "2"}, "requests": null}),
                json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}),
            ),
            (
                json!({"limits": 7, "requests": "x"}),
                json!({"limits": 7, "requests": "x"}),
            ),
            (
                json!({"limits": {"cpu": "2"}, "requests": "x"}),
                json!({"limits": {"cpu": "2"}, "requests": "x"}),
            ),
        ] {
            for list in ["containers", "initContainers"] {
                let mut pod = json!({"spec": {list: [{"name": "c", "resources": resources}, {"name": "d"}]}});
                fill_requests(&mut pod);
                assert_eq!(pod["spec"][list][0]["resources"], expected, "{resources}");
                assert_eq!(pod["spec"][list][1], json!({"name": "d"}));
            }
        }
    }

    #[test]
    fn what_is_no_pod_is_left_alone() {
        for value in [
            json!(null),
            json!({"spec": 7}),
            json!({"spec": {"containers": {"a": 1}}}),
            json!({"spec": {"containers": [7]}}),
        ] {
            let mut pod = value.clone();
            fill_requests(&mut pod);
            assert_eq!(pod, value);
        }
    }
}
