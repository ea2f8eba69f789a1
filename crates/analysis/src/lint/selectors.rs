//! Finds policies that govern no pod, and policies that govern the same pods.

use apportion_core::diagnostics::Finding;
use apportion_core::k8s::{LabelSelector, Operator, Requirement};
use apportion_core::policy::EXEMPT_NAMESPACES;
use apportion_core::policy::{Policy, PolicySet};

/// Kubernetes sets this label on every namespace to its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

const NAMESPACES_FIELD: &str = "spec.namespaceSelector";
const PODS_FIELD: &str = "spec.podSelector";

pub(super) fn lint(set: &PolicySet) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut earlier: Vec<&Policy> = Vec::new();
    for policy in set.iter() {
        if let Some((field, message)) = matches_nothing(policy) {
            findings.push(Finding::warning(policy.location.clone(), field, message));
            continue;
        }
        // A hidden policy conflicts with no other policy.
        if let Some(first) = earlier.iter().find(|first| hides(first, policy)) {
            findings.push(hidden(first, policy));
            continue;
        }
        let conflicts = earlier
            .iter()
            .filter(|first| first.priority == policy.priority && overlaps(first, policy));
        findings.extend(conflicts.map(|first| conflict(first, policy)));
        earlier.push(policy);
    }
    findings
}

fn matches_nothing(policy: &Policy) -> Option<(&'static str, String)> {
    let fix = "so the policy governs nothing; fix its requirements, or remove the policy";
    let exempt = LabelSelector {
        requirements: vec![Requirement::new(
            NAMESPACE_NAME,
            Operator::In,
            EXEMPT_NAMESPACES.iter().copied(),
        )],
    };
    if !policy.namespaces.is_satisfiable() {
        Some((NAMESPACES_FIELD, format!("no namespace can satisfy this, {fix}")))
    } else if !policy.pods.is_satisfiable() {
        Some((PODS_FIELD, format!("no pod can satisfy this, {fix}")))
    } else if policy.namespaces.implies(&exempt) {
        let names = EXEMPT_NAMESPACES.join(", ");
        Some((
            NAMESPACES_FIELD,
            format!("matches only exempt namespaces ({names}), {fix}"),
        ))
    } else {
        None
    }
}

fn hides(first: &Policy, policy: &Policy) -> bool {
    policy.namespaces.implies(&first.namespaces) && policy.pods.implies(&first.pods)
}

/// Whether some pod in some namespace can match both. Labels of namespaces and pods are
/// independent, so each kind is checked on its own.
fn overlaps(one: &Policy, other: &Policy) -> bool {
    one.namespaces.overlaps(&other.namespaces) && one.pods.overlaps(&other.pods)
}

fn hidden(first: &Policy, policy: &Policy) -> Finding {
    let order = if first.priority == policy.priority {
        "name".to_owned()
    } else {
        format!("priority, {} over {}", first.priority, policy.priority)
    };
    let message = format!(
        "`{}` never governs a pod: `{}` ({}) matches everything that it matches, and takes precedence by {order}; raise the \
         priority of `{}`, or narrow `{}`",
        policy.name, first.name, first.location, policy.name, first.name
    );
    Finding::warning(policy.location.clone(), NAMESPACES_FIELD, message)
}

fn conflict(first: &Policy, policy: &Policy) -> Finding {
    let message = format!(
        "`{}` ({}) can govern the same pods as `{}`, at the same priority {}, and takes precedence only by name; give them different \
         priorities, or make {} exclude each other",
        first.name,
        first.location,
        policy.name,
        policy.priority,
        if first.namespaces == policy.namespaces {
            "their podSelectors"
        } else {
            "their selectors"
        },
    );
    Finding::warning(policy.location.clone(), "spec.priority", message)
}
