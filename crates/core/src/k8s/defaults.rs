//! Defaults that the API server sets on a pod before it calls webhooks.
//!
//! A webhook does not receive the manifest as written. Commands that read manifests apply the two
//! defaults that affect resource requests.

use serde_json::{Map, Value};

/// Fills the requests of every container from its limits, and turns quantities into strings.
///
/// Follows `SetDefaults_Pod` in Kubernetes' `pkg/apis/core/v1/defaults.go`: a limit without a
/// request is also the request. The API server decodes and encodes quantities, and encodes them as
/// strings. Values of an unexpected type stay unchanged, so that parsing the pod reports them.
pub fn fill_requests(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec") else { return };
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for resources in containers
            .into_iter()
            .flatten()
            .filter_map(|container| container.get_mut("resources")?.as_object_mut())
        {
            set_defaults(resources);
        }
    }
}

fn set_defaults(resources: &mut Map<String, Value>) {
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
    fn missing_requests_are_filled_from_limits() {
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
    fn malformed_pods_stay_unchanged() {
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
