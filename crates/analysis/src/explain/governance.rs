//! Says which policy governs a pod, and why.

use super::report::{Governance, GovernanceKind};
use apportion_core::diagnostics::spelling;
use apportion_core::gpu::names::POLICY_LABEL;
use apportion_core::inventory::Inventory;
use apportion_core::k8s::{LabelSelector, LabelSource as _, Pod};
use apportion_core::policy::is_exempt;
use apportion_core::policy::{Governed, Policy, PolicySet};

/// Explains `governed`, the result for `pod`.
pub fn governance(
    pod: &Pod<'_>,
    namespace: &str,
    governed: Governed<'_>,
    policies: &PolicySet,
    inventory: &Inventory,
) -> Governance {
    let without_policy = |by, because: String| Governance {
        by,
        policy: None,
        mode: None,
        because,
        limits: None,
    };
    if pod.is_mirror() {
        return without_policy(
            GovernanceKind::Exempt,
            "the kubelet runs mirror pods whatever admission decides".to_owned(),
        );
    }
    if is_exempt(namespace) {
        let because = format!("namespace {namespace} is exempt from every policy");
        return without_policy(GovernanceKind::Exempt, because);
    }
    match governed {
        Governed::ByNone => without_policy(
            GovernanceKind::NoPolicy,
            why_no_policy(pod, namespace, policies, inventory),
        ),
        Governed::ByUnknownNamespace => without_policy(
            GovernanceKind::UnknownNamespace,
            match spelling::nearest(namespace, inventory.namespaces().map(|(name, _)| name)) {
                Some(nearest) => format!("the cluster has no namespace {namespace}; did you mean {nearest}?"),
                None => format!("the cluster has no namespace {namespace}"),
            },
        ),
        Governed::ByUnknownPolicy(name) => {
            let label = format!("namespace {namespace} is labeled {POLICY_LABEL}={name}, which names no policy");
            let nearest = spelling::nearest(name, policies.iter().map(|policy| policy.name.as_str()));
            Governance {
                policy: Some(name.to_owned()),
                ..without_policy(
                    GovernanceKind::UnknownPolicy,
                    nearest.map_or_else(|| label.clone(), |nearest| format!("{label}; did you mean {nearest}?")),
                )
            }
        }
        Governed::By(policy) => Governance {
            by: GovernanceKind::Policy,
            policy: Some(policy.name.to_string()),
            mode: Some(policy.mode.as_str()),
            because: why_policy(pod, namespace, policy, policies, inventory),
            limits: None,
        },
    }
}

fn why_no_policy(pod: &Pod<'_>, namespace: &str, policies: &PolicySet, inventory: &Inventory) -> String {
    let Some(labels) = inventory.namespace(namespace) else {
        return "there are no policies".to_owned();
    };
    // These policies match the namespace, so only the pod's labels can rule them out.
    let unmatched: Vec<String> = policies
        .iter()
        .filter(|policy| policy.namespaces.matches(labels) && !policy.pods.matches(&pod.metadata.labels))
        .map(|policy| format!("{} requires {}", policy.name, requirements(&policy.pods)))
        .collect();
    if !unmatched.is_empty() {
        return format!(
            "the pod's labels match no podSelector of the namespace's policies: {}",
            unmatched.join("; ")
        );
    }
    match labels.label(POLICY_LABEL).filter(|name| !name.is_empty()) {
        Some(name) => format!(
            "namespace {namespace} is labeled {POLICY_LABEL}={name}, and that policy's namespaceSelector does not match it"
        ),
        None => {
            format!("namespace {namespace} has no label {POLICY_LABEL}, and no policy's namespaceSelector matches it")
        }
    }
}

fn why_policy(pod: &Pod<'_>, namespace: &str, policy: &Policy, policies: &PolicySet, inventory: &Inventory) -> String {
    let by_namespace = if policy.namespaces == Policy::default_namespaces(&policy.name) {
        format!("namespace {namespace} is labeled {POLICY_LABEL}={}", policy.name)
    } else {
        let selector = requirements(&policy.namespaces);
        format!("its namespaceSelector ({selector}) matches namespace {namespace}")
    };
    let by_pod = match &policy.pods.requirements[..] {
        [] => String::new(),
        _ => format!(", and its podSelector ({}) matches the pod", requirements(&policy.pods)),
    };
    let overlapping: Vec<String> = policies
        .iter()
        .filter(|other| {
            other.name != policy.name
                && inventory
                    .namespace(namespace)
                    .is_some_and(|labels| other.matches(labels, &pod.metadata.labels))
        })
        .map(|other| {
            if other.priority == policy.priority {
                format!("{} by name (both have priority {})", other.name, policy.priority)
            } else {
                format!(
                    "{} by priority ({} over {})",
                    other.name, policy.priority, other.priority
                )
            }
        })
        .collect();
    let precedence = match &overlapping[..] {
        [] => String::new(),
        overlapping => format!("; it takes precedence over {}", overlapping.join(", ")),
    };
    format!("{by_namespace}{by_pod}{precedence}")
}

fn requirements(selector: &LabelSelector) -> String {
    match &selector.requirements[..] {
        [] => "everything".to_owned(),
        requirements => requirements
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}
