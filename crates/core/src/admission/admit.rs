//! From a request to its answer: what it is about, and whether that is ours to judge.

use serde_json::value::RawValue;

use super::change::change;
use super::judge::judge;
use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use super::review::Request;
use super::workload;
use crate::k8s::Pod;
use crate::k8s::text::Labels;
use crate::policy::governance::is_exempt;
use crate::policy::{Governed, PolicySet};

/// Answers a request.
pub fn admit<'c>(request: &Request<'_>, context: &AdmissionContext<'c, '_>) -> Admission<'c> {
    let is_workload = workload::is_workload(request);
    let is_change = request.changes_pod();
    if !is_workload && !is_change && !request.creates_pod() {
        return Admission::passed(AdmissionOutcome::Skipped, "not the creation of a pod");
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if is_exempt(namespace) || context.own_namespace == Some(namespace) {
        return Admission::passed(AdmissionOutcome::Ungoverned, format!("namespace {namespace} is exempt"));
    }
    if is_workload {
        return workload::advise(request, context);
    }
    let answered = pod_of(request.object).and_then(|pod| {
        let admission = if is_change {
            let before = request
                .old_object
                .map_or(Ok(Pod::default()), |_| pod_of(request.old_object))?;
            change(&pod, &before, namespace, context)
        } else {
            judge(&pod, namespace, request.dry_run.unwrap_or(false), context)
        };
        Ok(Admission {
            pod: format!("{namespace}/{}", pod.metadata.display_name()),
            ..admission
        })
    });
    let labels = context.inventory.namespace(namespace);
    let mut admission = match answered {
        Ok(admission) => return admission,
        // Not ours to refuse where no policy can apply; a patch on what was not understood is never sent.
        Err(_) if !may_be_governed(labels, context.policies) => Admission::passed(
            AdmissionOutcome::Ungoverned,
            "unreadable pod in a namespace that no policy governs",
        ),
        Err(_) if is_change && !context.policies.isolates() => Admission::passed(
            AdmissionOutcome::Skipped,
            "a change, where no policy asks for isolation",
        ),
        Err(error) => {
            let message = format!("apportion: the pod can not be read: {error}");
            Admission::refused(AdmissionOutcome::Denied, 422, "Invalid", message)
        }
    };
    admission.pod = format!("{namespace}/?");
    admission
}

fn pod_of(object: Option<&RawValue>) -> Result<Pod<'_>, String> {
    let object = object.ok_or("the request holds no object")?;
    serde_json::from_str(object.get()).map_err(|error| error.to_string())
}

fn may_be_governed(labels: Option<&Labels>, policies: &PolicySet) -> bool {
    match labels {
        None => !policies.is_empty(),
        Some(labels) => {
            policies.iter().any(|policy| policy.namespaces.matches(labels))
                || matches!(policies.governing(labels, &Labels::default()), Governed::ByUnknown(_))
        }
    }
}
