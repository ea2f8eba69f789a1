//! What to type, so that a namespace's workloads get what suits them.

use std::collections::BTreeSet;

use super::report::WorkloadRow;
use apportion_core::gpu::names::POLICY_LABEL;
use apportion_core::policy::governance::is_exempt;

/// The policy that a namespace's workloads agree on, and what to type; or what stands in the way.
pub fn agreed(namespace: &str, policy: Option<&str>, workloads: &[&WorkloadRow]) -> (Option<String>, Option<String>) {
    let change = |row: &&&WorkloadRow| row.advice.change;
    let wanted: BTreeSet<&str> = workloads
        .iter()
        .filter(change)
        .filter_map(|row| row.advice.set_policy.as_deref())
        .collect();
    let stay: Vec<&str> = workloads
        .iter()
        .filter(|row| row.advice.strategy.is_some() && !row.advice.change)
        .map(|row| row.workload.as_str())
        .collect();
    let label = |policy: &str| format!("kubectl label namespace {namespace} {POLICY_LABEL}={policy}");
    match (wanted.into_iter().collect::<Vec<_>>().as_slice(), policy) {
        _ if is_exempt(namespace) => (None, None),
        ([], Some(policy)) if workloads.iter().any(|row| row.advice.change) => (
            None,
            Some(format!(
                "policy {policy} is set: recreate the pods that it should change"
            )),
        ),
        ([], _) => (None, None),
        ([one], _) if stay.is_empty() => (Some((*one).to_owned()), Some(label(one))),
        ([one], _) => (
            None,
            Some(format!(
                "move {} to a namespace of its own first, since the label governs all pods; then {}",
                stay.join(", "),
                label(one)
            )),
        ),
        (several, _) => (
            None,
            Some(format!(
                "split it: its workloads want the policies {}",
                several.join(" and ")
            )),
        ),
    }
}
