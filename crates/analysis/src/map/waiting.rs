//! Pods without a node, and why they wait.

use std::collections::BTreeMap;

use serde::Serialize;

use super::selection::Selection;
use apportion_core::diagnostics::counted;
use apportion_core::extender::{ExtenderContext, PodQuery};
use apportion_core::inventory::{Inventory, NodeEntry, PodEntry, Reserved, UnfitReason};
use apportion_core::policy::OnUnknown;
use apportion_core::policy::{PolicySet, Tenant};

/// The most reasons to report for a pod.
const MAX_REASONS: usize = 3;

/// A pod that requests GPUs and has no node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingPod {
    pub tenant: String,
    pub namespace: String,
    pub pod: String,
    /// Counts by resource name.
    pub demand: BTreeMap<String, u64>,
    /// Why nodes do not fit, each reason with its number of nodes, the most useful first. Empty if
    /// a node fits: the scheduler has not tried the pod yet, or the pod waits for something other
    /// than GPUs.
    pub because: Vec<String>,
}

/// A tenant's name without its kind: the namespace, or the value of the tenant label.
pub(super) fn tenant_name(tenant: &Tenant) -> String {
    match tenant {
        Tenant::Namespace(name) => name.to_string(),
        Tenant::Label { value, .. } => value.to_string(),
    }
}

/// The waiting pods of the selected namespaces.
pub fn waiting_pods(inventory: &Inventory, policies: &PolicySet, selection: &Selection) -> Vec<WaitingPod> {
    let reserved = Reserved::default();
    let context = ExtenderContext {
        policies,
        inventory,
        reserved: &reserved,
        on_unknown: OnUnknown::default(),
    };
    let pods = inventory.pods().map(|(_, pod)| pod);
    pods.filter(|pod| pod.node().is_none() && selection.has_namespace(&pod.record.namespace))
        .map(|pod| WaitingPod {
            tenant: tenant_name(&pod.guarantees.tenant),
            namespace: pod.record.namespace.to_string(),
            pod: pod.record.name.to_string(),
            demand: pod
                .record
                .demand
                .iter()
                .map(|(resource, count)| (resource.to_string(), count))
                .collect(),
            because: reasons(pod, inventory, &context),
        })
        .collect()
}

/// Waiting pods of one namespace with the same demand and the same reasons.
#[derive(Debug)]
pub struct WaitingGroup<'w> {
    pub first: &'w WaitingPod,
    /// How many pods the group has.
    pub pods: usize,
}

impl WaitingGroup<'_> {
    /// Names the first pod and counts the others.
    pub fn name(&self) -> String {
        let first = format!("{}/{}", self.first.namespace, self.first.pod);
        match self.pods {
            1 => first,
            2 => format!("{first} and another pod of {}", self.first.namespace),
            pods => format!("{first} and {} more pods of {}", pods - 1, self.first.namespace),
        }
    }

    /// The demand of each pod, for example `nvidia.com/gpu 2`.
    pub fn demand(&self) -> String {
        let each = self.first.demand.iter().map(|(name, count)| format!("{name} {count}"));
        each.collect::<Vec<_>>().join(" + ")
    }

    pub fn reasons(&self) -> Vec<String> {
        match &self.first.because[..] {
            [] => vec!["a node fits; the scheduler has not placed the pod yet".to_owned()],
            reasons => reasons.to_vec(),
        }
    }
}

/// Groups pods, which are sorted by namespace.
pub fn grouped(waiting: &[WaitingPod]) -> Vec<WaitingGroup<'_>> {
    let mut groups: Vec<WaitingGroup<'_>> = Vec::new();
    for pod in waiting {
        // Only the last groups can be of the same namespace.
        let of_namespace = groups
            .iter_mut()
            .rev()
            .take_while(|group| group.first.namespace == pod.namespace);
        let mut matching =
            of_namespace.filter(|group| group.first.demand == pod.demand && group.first.because == pod.because);
        match matching.next() {
            Some(group) => group.pods += 1,
            None => groups.push(WaitingGroup { first: pod, pods: 1 }),
        }
    }
    groups
}

fn reasons(pod: &PodEntry, inventory: &Inventory, context: &ExtenderContext<'_>) -> Vec<String> {
    let query = PodQuery::of_record(&pod.record, context);
    if let PodQuery::Reject(reason) = query {
        return vec![reason.to_string()];
    }
    let mut unfit_reasons: BTreeMap<(bool, String), usize> = BTreeMap::new();
    for node in inventory.nodes() {
        // A node without GPUs would only add noise.
        if node.offers.offers.is_empty() {
            continue;
        }
        let unfit_reason = if node.is_reachable(&pod.record.summary.scheduling) {
            match query.check(Some(node)).err().or_else(|| shortage(pod, node)) {
                Some(unfit_reason) => (!unfit_reason.eviction_helps(), unfit_reason.to_string()),
                None => return Vec::new(),
            }
        } else {
            (true, "unschedulable, tainted, or not selected by the pod".to_owned())
        };
        *unfit_reasons.entry(unfit_reason).or_default() += 1;
    }
    if unfit_reasons.is_empty() {
        return vec!["no node has GPUs".to_owned()];
    }
    unfit_reasons
        .into_iter()
        .take(MAX_REASONS)
        .map(|((_, reason), nodes)| format!("{}: {reason}", counted(nodes, "node")))
        .collect()
}

/// The resource check that kube-scheduler does itself, for pods without limits.
fn shortage(pod: &PodEntry, node: &NodeEntry) -> Option<UnfitReason> {
    pod.record.demand.iter().find_map(|(resource, needs)| {
        let Some(offer) = node.offers.get(resource) else {
            return Some(UnfitReason::NoOffer(resource));
        };
        let free = node.free(offer);
        (free < needs).then_some(UnfitReason::Taken {
            resource,
            free,
            total: offer.total,
            needs,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_with_the_same_namespace_demand_and_reasons_share_a_group() {
        let pod = |namespace: &str, name: &str, count: u64, because: &[&str]| WaitingPod {
            tenant: namespace.to_owned(),
            namespace: namespace.to_owned(),
            pod: name.to_owned(),
            demand: BTreeMap::from([("nvidia.com/gpu".to_owned(), count)]),
            because: because.iter().map(|reason| (*reason).to_owned()).collect(),
        };
        let pods = [
            pod("a", "one", 1, &[]),
            pod("a", "two", 2, &["no node has GPUs"]),
            pod("a", "three", 1, &[]),
            pod("a", "four", 1, &[]),
            pod("b", "five", 1, &[]),
        ];
        let names: Vec<String> = grouped(&pods).iter().map(WaitingGroup::name).collect();
        assert_eq!(names, ["a/one and 2 more pods of a", "a/two", "b/five"]);
        assert_eq!(
            grouped(&pods)[0].reasons(),
            ["a node fits; the scheduler has not placed the pod yet"]
        );
        assert_eq!(grouped(&pods)[1].demand(), "nvidia.com/gpu 2");
    }
}
