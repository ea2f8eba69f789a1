//! What the pods of a workload will be told, told to the person who applies it.
//!
//! A warning on a pod reaches the controller that made it, and nobody reads that. So Deployments, Jobs and their like are looked at too:
//! warned about, never changed, never refused.

use serde_json::Value;

use super::judge::judge;
use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use super::response::Response;
use super::review::Request;
use crate::k8s::defaults::fill_requests;
use crate::k8s::{Pod, template};

/// Whether this is a workload being created or changed, and not one of its subresources.
pub(super) fn is_workload(request: &Request<'_>) -> bool {
    matches!(&*request.operation, "CREATE" | "UPDATE")
        && request.sub_resource.as_deref().unwrap_or_default().is_empty()
        && &*request.kind.kind != "Pod"
        && template::places(&request.kind.kind).is_some()
}

/// The warnings that the pods of a workload would get.
pub(super) fn advise<'c>(request: &Request<'_>, context: &AdmissionContext<'c, '_>) -> Admission<'c> {
    let kind = &*request.kind.kind;
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let object: Value = request
        .object
        .and_then(|object| serde_json::from_str(object.get()).ok())
        .unwrap_or_default();
    let mut admission = Admission::passed(AdmissionOutcome::Advised, format!("the pods of a {kind}"));
    let owner = object
        .pointer("/metadata/name")
        .or_else(|| object.pointer("/metadata/generateName"));
    let owner = owner.and_then(Value::as_str).unwrap_or_default();
    admission.pod = format!("{namespace}/{owner} ({kind})");
    if is_controlled(&object) {
        // Its own controller would be told, which reads no warnings.
        return admission;
    }
    let mut warnings: Vec<String> = Vec::new();
    for template in template::templates(kind, &object) {
        let Some(mut pod) = template::pod_of(template, owner, namespace) else {
            continue;
        };
        fill_requests(&mut pod);
        let text = pod.to_string();
        let Ok(pod) = serde_json::from_str::<Pod<'_>>(&text) else {
            continue;
        };
        let told = judge(&pod, namespace, true, context);
        warnings.extend(told.response.warnings);
        warnings.extend(
            told.response
                .denial
                .map(|denial| format!("its pods will be refused: {}", denial.message)),
        );
        admission.policy = told.policy.or(admission.policy);
    }
    // Roles of one job often say the same.
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
    use super::super::review;
    use super::*;
    use crate::admission::admit;
    use crate::inventory::{Ledger, PendingAdmissions};
    use crate::k8s::text::Labels;
    use crate::policy::governance::OnUnknown;
    use crate::policy::{PolicySet, parse};
    use serde_json::json;

    fn warnings(kind: &str, operation: &str, object: &Value) -> Vec<String> {
        let policy = "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {name: dev}\nspec: {strategies: [{strategy: time-slicing}]}\n";
        let policies = PolicySet::new(parse::parse("p", policy).unwrap());
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

    fn deployment(gpus: &str) -> Value {
        json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": [
            {"name": "c", "resources": {"limits": {"nvidia.com/gpu": gpus}}}]}}}})
    }

    #[test]
    fn what_pods_would_be_told_is_told_to_the_person() {
        let told = warnings("Deployment", "CREATE", &deployment("4"));
        assert!(
            told[0]
                .starts_with("apportion (dev): nvidia.com/gpu 4 -> nvidia.com/gpu.shared 1: time-slicing; more shares"),
            "{told:?}"
        );
        let told = warnings("Deployment", "UPDATE", &deployment("half"));
        assert!(
            told[0].starts_with("its pods will be refused: apportion (dev): spec.containers[0].resources.limits"),
            "{told:?}"
        );
        let mut owned = deployment("4");
        owned["metadata"]["ownerReferences"] = json!([{"kind": "Deployment", "controller": true}]);
        assert!(warnings("ReplicaSet", "CREATE", &owned).is_empty());
        assert!(warnings("ConfigMap", "CREATE", &deployment("4")).is_empty());
        assert!(warnings("Deployment", "DELETE", &deployment("4")).is_empty());
    }

    #[test]
    fn roles_that_say_the_same_say_it_once() {
        let role = deployment("2")["spec"].clone();
        let job = json!({"metadata": {"name": "t"}, "spec": {"pytorchReplicaSpecs": {"Master": role, "Worker": role}}});
        let told = warnings("PyTorchJob", "CREATE", &job);
        assert_eq!(
            told.iter().filter(|warning| warning.contains("gpu 2 ->")).count(),
            1,
            "{told:?}"
        );
    }
}
