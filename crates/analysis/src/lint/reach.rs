//! Which pods policies can govern: none, or the same.

use apportion_core::diagnostics::Finding;
use apportion_core::k8s::{LabelSelector, Operator, Requirement};
use apportion_core::policy::governance::EXEMPT_NAMESPACES;
use apportion_core::policy::{Policy, PolicySet};

/// The label that Kubernetes itself gives to every namespace: its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

const NAMESPACES: &str = "spec.namespaceSelector";
const PODS: &str = "spec.podSelector";

/// What is doubtful in what policies match.
pub fn lint(set: &PolicySet) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut earlier: Vec<&Policy> = Vec::new();
    for policy in set.iter() {
        if let Some((field, message)) = matches_nothing(policy) {
            findings.push(Finding::warning(policy.location.clone(), field, message));
            continue;
        }
        // One that never governs is nobody's rival.
        if let Some(first) = earlier.iter().find(|first| hides(first, policy)) {
            findings.push(hidden(first, policy));
            continue;
        }
        let rivals = earlier
            .iter()
            .filter(|first| first.priority == policy.priority && meet(first, policy));
        findings.extend(rivals.map(|first| tied(first, policy)));
        earlier.push(policy);
    }
    findings
}

fn matches_nothing(policy: &Policy) -> Option<(&'static str, String)> {
    let remedy = "so the policy governs nothing; mend its requirements, or remove the policy";
    let exempt = LabelSelector {
        requirements: vec![Requirement::new(
            NAMESPACE_NAME,
            Operator::In,
            EXEMPT_NAMESPACES.iter().copied(),
        )],
    };
    if !policy.namespaces.is_satisfiable() {
        Some((NAMESPACES, format!("no namespace can satisfy this, {remedy}")))
    } else if !policy.pods.is_satisfiable() {
        Some((PODS, format!("no pod can satisfy this, {remedy}")))
    } else if policy.namespaces.implies(&exempt) {
        let names = EXEMPT_NAMESPACES.join(", ");
        Some((
            NAMESPACES,
            format!("matches exempt namespaces alone ({names}), {remedy}"),
        ))
    } else {
        None
    }
}

fn hides(first: &Policy, policy: &Policy) -> bool {
    policy.namespaces.implies(&first.namespaces) && policy.pods.implies(&first.pods)
}

/// Whether some pod in some namespace matches both. Labels of namespaces and pods have nothing to do with each other, so the two
/// questions can be asked one by one.
fn meet(one: &Policy, other: &Policy) -> bool {
    one.namespaces.overlaps(&other.namespaces) && one.pods.overlaps(&other.pods)
}

fn hidden(first: &Policy, policy: &Policy) -> Finding {
    let order = if first.priority == policy.priority {
        "name".to_owned()
    } else {
        format!("priority, {} over {}", first.priority, policy.priority)
    };
    let message = format!(
        "`{}` never governs a pod: `{}` ({}) matches all that it matches, and goes first by {order}; raise its priority, or narrow \
         the other",
        policy.name, first.name, first.location
    );
    Finding::warning(policy.location.clone(), NAMESPACES, message)
}

fn tied(first: &Policy, policy: &Policy) -> Finding {
    let message = format!(
        "`{}` ({}) can govern the same pods as `{}`, at the same priority {}, and goes first by its name alone; give them different \
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
