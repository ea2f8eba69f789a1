//! Combines the recommendations for the workloads of a namespace into one action.

use std::collections::BTreeSet;

use super::report::{NamespaceAction, WorkloadRow};
use apportion_core::gpu::names::POLICY_LABEL;
use apportion_core::policy::is_exempt;

/// Returns the action for a namespace that `policy` governs now; `None` if nothing should change.
pub fn namespace_action(namespace: &str, policy: Option<&str>, workloads: &[&WorkloadRow]) -> Option<NamespaceAction> {
    if is_exempt(namespace) {
        return None;
    }
    let recommended: BTreeSet<&str> = workloads
        .iter()
        .filter(|row| row.recommendation.change)
        .filter_map(|row| row.recommendation.set_policy.as_deref())
        .collect();
    let recommended: Vec<&str> = recommended.into_iter().collect();
    let [new_policy] = recommended.as_slice() else {
        if !recommended.is_empty() {
            return Some(NamespaceAction::Manual(format!(
                "split namespace {namespace}: its workloads need different policies, {}",
                recommended.join(" and ")
            )));
        }
        let policy = policy.filter(|_| workloads.iter().any(|row| row.recommendation.change))?;
        return Some(NamespaceAction::Manual(format!(
            "namespace {namespace} has policy {policy}: recreate the pods that it should change"
        )));
    };
    let command = format!("kubectl label namespace {namespace} {POLICY_LABEL}={new_policy}");
    let keep: Vec<&str> = workloads
        .iter()
        .filter(|row| row.recommendation.strategy.is_some() && !row.recommendation.change)
        .map(|row| row.workload.as_str())
        .collect();
    Some(if keep.is_empty() {
        NamespaceAction::SetPolicy {
            policy: (*new_policy).to_owned(),
            command,
        }
    } else {
        NamespaceAction::SetPolicyAfter {
            step: format!(
                "first move {} to another namespace, because the label applies to all pods of {namespace}",
                keep.join(", ")
            ),
            command,
        }
    })
}
