//! Warnings about the pods of a workload, for the user who applies the workload.
//!
//! A warning about a pod reaches only the controller that created it. So users also get warnings
//! when they apply a Deployment, a Job or another workload. Workloads are never changed and never
//! denied.

use serde_json::Value;

use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use super::pod::admit_creation;
use super::response::Response;
use super::review::Request;
use crate::diagnostics::excerpt;
use crate::k8s::defaults::fill_requests;
use crate::k8s::{Pod, template};

/// Whether the request creates or updates a workload, and not one of its subresources.
pub(super) fn is_workload(request: &Request<'_>) -> bool {
    matches!(&*request.operation, "CREATE" | "UPDATE")
        && request.sub_resource.as_deref().unwrap_or_default().is_empty()
        && &*request.kind.kind != "Pod"
        && template::template_paths(&request.kind.kind).is_some()
}

/// Allows a workload, with the warnings and denials that its pods would get.
pub(super) fn warn_about_pods<'c>(request: &Request<'_>, context: &AdmissionContext<'c, '_>) -> Admission<'c> {
    let kind = &*request.kind.kind;
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let object: Value = request
        .object
        .and_then(|object| serde_json::from_str(object.get()).ok())
        .unwrap_or_default();
    let mut admission = Admission::allowed(AdmissionOutcome::Advised, format!("a {kind}, checked for its pods"));
    let owner = object
        .pointer("/metadata/name")
        .or_else(|| object.pointer("/metadata/generateName"));
    let owner = owner.and_then(Value::as_str).unwrap_or_default();
    admission.pod = format!("{namespace}/{} ({kind})", excerpt(owner));
    if is_controlled(&object) {
        // The warnings would go to its controller, which does not show them.
        return admission;
    }
    let mut warnings: Vec<String> = Vec::new();
    for template in template::templates(kind, &object) {
        let Some(mut pod) = template::pod_from_template(template, owner, namespace) else {
            continue;
        };
        fill_requests(&mut pod);
        let text = pod.to_string();
        let Ok(pod) = serde_json::from_str::<Pod<'_>>(&text) else {
            continue;
        };
        let of_pod = admit_creation(&pod, namespace, true, context);
        warnings.extend(of_pod.response.warnings);
        warnings.extend(
            of_pod
                .response
                .denial
                .map(|denial| format!("its pods will be refused: {}", denial.message)),
        );
        admission.policy = of_pod.policy.or(admission.policy);
    }
    // The pod templates of one job often cause equal warnings.
    let mut seen = std::collections::BTreeSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    Admission {
        response: Response {
            warnings,
            ..Response::default()
        },
        ..admission
    }
}

fn is_controlled(object: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner["controller"] == true)
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Pod};

    use super::super::review;
    use super::*;
    use crate::admission::admit;
    use crate::inventory::{Ledger, PendingAdmissions};
    use crate::k8s::Labels;
    use crate::policy::OnUnknown;
    use crate::policy::{PolicySet, parse};
    use serde_json::json;

    fn warnings(kind: &str, operation: &str, object: &Value) -> Vec<String> {
        let policy = apportion_testing::Policy::new("dev", "{strategies: [{strategy: time-slicing}]}").to_string();
        let policies = PolicySet::new(parse::parse("p", &policy).unwrap());
        let mut ledger = Ledger::default();
        ledger.put_namespace("n", Labels::from_iter([("apportion.dev/policy", "dev")]));
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "kind": {"group": "g", "kind": kind}, "resource": {"group": "g", "resource": "r"},
            "namespace": "n", "operation": operation, "object": object}})
        .to_string();
        let request = review::read(body.as_bytes()).unwrap();
        let admission = admit(
            &request,
            &AdmissionContext {
                policies: &policies,
                inventory: ledger.inventory(),
                pending: &PendingAdmissions::default(),
                on_unknown: OnUnknown::Refuse,
                scheduler_name: None,
                own_namespace: None,
            },
        );
        assert!(
            admission.response.patch.is_empty()
                && admission.response.denial.is_none()
                && admission.pending_admission.is_none()
        );
        admission.response.warnings
    }

    /// A deployment whose pods request GPUs.
    fn deployment(gpus: &str) -> Value {
        let pod = Pod::new("p").container(Container::new("c").limit("nvidia.com/gpu", gpus));
        json!({"metadata": {"name": "web"}, "spec": {"template": Value::from(pod)}})
    }

    #[test]
    fn users_are_warned_about_the_pods_of_a_workload() {
        let given = warnings("Deployment", "CREATE", &deployment("4"));
        assert!(
            given[0]
                .starts_with("apportion (dev): nvidia.com/gpu 4 -> nvidia.com/gpu.shared 1: time-slicing; more shares"),
            "{given:?}"
        );
        let given = warnings("Deployment", "UPDATE", &deployment("half"));
        assert!(
            given[0].starts_with("its pods will be refused: apportion (dev): spec.containers[0].resources.limits"),
            "{given:?}"
        );
        let mut owned = deployment("4");
        owned["metadata"]["ownerReferences"] = json!([{"kind": "Deployment", "controller": true}]);
        assert!(warnings("ReplicaSet", "CREATE", &owned).is_empty());
        assert!(warnings("ConfigMap", "CREATE", &deployment("4")).is_empty());
        assert!(warnings("Deployment", "DELETE", &deployment("4")).is_empty());
    }

    #[test]
    fn equal_warnings_are_given_once() {
        let role = deployment("2")["spec"].clone();
        let job = json!({"metadata": {"name": "t"}, "spec": {"pytorchReplicaSpecs": {"Master": role, "Worker": role}}});
        let given = warnings("PyTorchJob", "CREATE", &job);
        assert_eq!(
            given.iter().filter(|warning| warning.contains("gpu 2 ->")).count(),
            1,
            "{given:?}"
        );
    }
}
