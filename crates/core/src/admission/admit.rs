//! From a request to its answer: what the request is about, and whether a policy can apply.

use serde_json::value::RawValue;

use super::outcome::{Admission, AdmissionContext, AdmissionOutcome};
use super::pod::{admit_creation, admit_update};
use super::review::Request;
use super::workload::{is_workload, warn_about_pods};
use crate::diagnostics::excerpt;
use crate::k8s::Labels;
use crate::k8s::Pod;
use crate::policy::is_exempt;
use crate::policy::{Governed, PolicySet};

/// Answers a request.
pub fn admit<'c>(request: &Request<'_>, context: &AdmissionContext<'c, '_>) -> Admission<'c> {
    let is_workload = is_workload(request);
    let is_update = request.updates_pod();
    if !is_workload && !is_update && !request.creates_pod() {
        return Admission::allowed(AdmissionOutcome::Skipped, "not a pod creation");
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if is_exempt(namespace) || context.own_namespace == Some(namespace) {
        return Admission::allowed(AdmissionOutcome::Ungoverned, format!("namespace {namespace} is exempt"));
    }
    if is_workload {
        return warn_about_pods(request, context);
    }
    let admitted = parse_pod(request.object).and_then(|pod| {
        let admission = if is_update {
            let old = match request.old_object {
                Some(_) => parse_pod(request.old_object)?,
                None => Pod::default(),
            };
            admit_update(&pod, &old, namespace, context)
        } else {
            admit_creation(&pod, namespace, request.dry_run.unwrap_or(false), context)
        };
        Ok(Admission {
            pod: format!("{namespace}/{}", excerpt(&pod.metadata.display_name())),
            ..admission
        })
    });
    let labels = context.inventory.namespace(namespace);
    let mut admission = match admitted {
        Ok(admission) => return admission,
        // An unreadable pod is denied only where a policy can apply. It is never patched.
        Err(_) if !may_be_governed(labels, context.policies) => Admission::allowed(
            AdmissionOutcome::Ungoverned,
            "unreadable pod in a namespace that no policy governs",
        ),
        Err(_) if is_update && !context.policies.isolates() => Admission::allowed(
            AdmissionOutcome::Skipped,
            "a pod update, and no policy requires isolation",
        ),
        Err(error) => {
            let message = format!("apportion: the pod cannot be read: {}", excerpt(&error.to_string()));
            Admission::denied(AdmissionOutcome::Denied, 422, "Invalid", message)
        }
    };
    admission.pod = format!("{namespace}/?");
    admission
}

/// Why the pod of a request cannot be read.
#[derive(Debug, thiserror::Error)]
enum PodError {
    #[error("the request has no object")]
    Missing,
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
}

fn parse_pod(object: Option<&RawValue>) -> Result<Pod<'_>, PodError> {
    let object = object.ok_or(PodError::Missing)?;
    Ok(serde_json::from_str(object.get())?)
}

fn may_be_governed(labels: Option<&Labels>, policies: &PolicySet) -> bool {
    match labels {
        None => !policies.is_empty(),
        Some(labels) => {
            policies.iter().any(|policy| policy.namespaces.matches(labels))
                || matches!(
                    policies.match_labels(labels, &Labels::default()),
                    Governed::ByUnknownPolicy(_)
                )
        }
    }
}
