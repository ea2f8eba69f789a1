//! Who governs a pod, in words.

use super::report::{Governance, Governor};
use apportion_core::diagnostics::spelling;
use apportion_core::gpu::names::POLICY_LABEL;
use apportion_core::inventory::Inventory;
use apportion_core::k8s::{LabelSelector, LabelSource as _, Pod};
use apportion_core::policy::governance::is_exempt;
use apportion_core::policy::{Governed, Policy, PolicySet};

/// Why `governed` is as it is.
pub fn governance(
    pod: &Pod<'_>,
    namespace: &str,
    governed: Governed<'_>,
    policies: &PolicySet,
    inventory: &Inventory,
) -> Governance {
    let nobody = |by, because: String| Governance {
        by,
        policy: None,
        mode: None,
        because,
        limits: None,
    };
    if pod.is_mirror() {
        return nobody(Governor::Exempt, "a mirror pod runs whatever the API says".to_owned());
    }
    if is_exempt(namespace) {
        let because = format!("namespace {namespace} is exempt from every policy");
        return nobody(Governor::Exempt, because);
    }
    match governed {
        Governed::ByNone => nobody(Governor::Nobody, why_nobody(pod, namespace, policies, inventory)),
        Governed::ByUnknownNamespace => nobody(
            Governor::UnknownNamespace,
            match spelling::nearest(namespace, inventory.namespaces().map(|(name, _)| name)) {
                Some(near) => format!("the cluster has no namespace {namespace}; did you mean {near}?"),
                None => format!("the cluster has no namespace {namespace}"),
            },
        ),
        Governed::ByUnknown(name) => {
            let label = format!("namespace {namespace} is labelled {POLICY_LABEL}={name}, which names no policy");
            let near = spelling::nearest(name, policies.iter().map(|policy| policy.name.as_str()));
            Governance {
                policy: Some(name.to_owned()),
                ..nobody(
                    Governor::UnknownPolicy,
                    near.map_or_else(|| label.clone(), |near| format!("{label}; did you mean {near}?")),
                )
            }
        }
        Governed::By(policy) => Governance {
            by: Governor::Policy,
            policy: Some(policy.name.to_string()),
            mode: Some(policy.mode.as_str()),
            because: why(pod, namespace, policy, policies, inventory),
            limits: None,
        },
    }
}

fn why_nobody(pod: &Pod<'_>, namespace: &str, policies: &PolicySet, inventory: &Inventory) -> String {
    let Some(labels) = inventory.namespace(namespace) else {
        return "there is no policy at all".to_owned();
    };
    // Only the pod's labels can be what keeps the policies of its namespace away.
    let missed: Vec<String> = policies
        .iter()
        .filter(|policy| policy.namespaces.matches(labels) && !policy.pods.matches(&pod.metadata.labels))
        .map(|policy| format!("{} wants {}", policy.name, list(&policy.pods)))
        .collect();
    if !missed.is_empty() {
        return format!(
            "the pod's labels match no podSelector of the namespace's policies: {}",
            missed.join("; ")
        );
    }
    match labels.label(POLICY_LABEL).filter(|name| !name.is_empty()) {
        Some(name) => format!(
            "namespace {namespace} is labelled {POLICY_LABEL}={name}, and that policy's namespaceSelector does not match it"
        ),
        None => {
            format!("namespace {namespace} has no label {POLICY_LABEL}, and no policy's namespaceSelector matches it")
        }
    }
}

fn why(pod: &Pod<'_>, namespace: &str, policy: &Policy, policies: &PolicySet, inventory: &Inventory) -> String {
    let by_namespace = if policy.namespaces == Policy::default_namespaces(&policy.name) {
        format!("namespace {namespace} is labelled {POLICY_LABEL}={}", policy.name)
    } else {
        let selector = list(&policy.namespaces);
        format!("its namespaceSelector ({selector}) matches namespace {namespace}")
    };
    let by_pod = match &policy.pods.requirements[..] {
        [] => String::new(),
        _ => format!(", its podSelector ({}) the pod", list(&policy.pods)),
    };
    let rivals: Vec<String> = policies
        .iter()
        .filter(|rival| {
            rival.name != policy.name
                && inventory
                    .namespace(namespace)
                    .is_some_and(|labels| rival.matches(labels, &pod.metadata.labels))
        })
        .map(|rival| {
            if rival.priority == policy.priority {
                format!("{} by name, both having priority {}", rival.name, policy.priority)
            } else {
                format!(
                    "{} by priority, {} over {}",
                    rival.name, policy.priority, rival.priority
                )
            }
        })
        .collect();
    let order = match &rivals[..] {
        [] => String::new(),
        rivals => format!("; goes before {}", rivals.join(", ")),
    };
    format!("{by_namespace}{by_pod}{order}")
}

fn list(selector: &LabelSelector) -> String {
    match &selector.requirements[..] {
        [] => "everything".to_owned(),
        all => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
