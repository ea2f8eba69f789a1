//! Finds the nodes that can run a pod, and says why the others cannot.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use apportion_core::gpu::{Counts, demand};
use apportion_core::inventory::{
    DeviceClasses, Inventory, NodeEntry, NodeUsage, PodRequestRef, SchedulingConstraints, UnfitReason,
};
use apportion_core::k8s::Pod;
use apportion_core::policy::Guarantees;
use apportion_core::policy::Policy;
use apportion_mig::memory::MiB;

/// The nodes, grouped by whether they can run a pod. CPU, memory and volumes are not considered:
/// the scheduler checks these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeFit {
    /// Nodes that can run the pod now, or may by DRA; the latter list no shares.
    pub fitting: Vec<CandidateNode>,
    /// Nodes that could run the pod if other pods left.
    pub full: Vec<CandidateNode>,
    /// Nodes that cannot run the pod, by reason.
    pub unfit: Vec<UnfitNodes>,
    /// How many such pods the fitting nodes can run now in total, not counting DRA.
    pub room: u64,
}

/// A node with the resources that the pod needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateNode {
    pub name: String,
    /// The resources that the pod requests.
    pub shares: Vec<ResourceShares>,
    /// How the node shares its GPUs.
    pub strategy: Option<&'static str>,
    /// The product that the node's label names.
    pub product: Option<String>,
    /// Why the node cannot run the pod next to its present pods.
    pub reason: Option<String>,
}

/// The shares of one resource on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceShares {
    pub resource: String,
    pub free: u64,
    pub total: u64,
    /// What the pod needs.
    pub needs: u64,
}

/// Nodes that cannot run the pod for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnfitNodes {
    pub reason: String,
    /// The names of the nodes.
    pub nodes: Vec<String>,
}

/// A pod that needs a node.
#[derive(Clone, Copy, Debug)]
pub struct PodToPlace<'s, 'a> {
    /// The pod as its user wrote it.
    pub original: &'s Pod<'a>,
    /// The pod as it reaches the scheduler.
    pub patched: &'s Pod<'a>,
    /// Memory that each share must have.
    pub memory: Option<MiB>,
    pub guarantees: &'s Arc<Guarantees>,
}

impl PodToPlace<'_, '_> {
    fn request<'r>(&'r self, demand: &'r Counts) -> PodRequestRef<'r> {
        PodRequestRef {
            demand,
            memory: self.memory,
            guarantees: self.guarantees,
        }
    }
}

enum Assessment {
    Fits,
    Full(UnfitReason),
    Unfit(String),
}

impl NodeFit {
    /// Assesses every node.
    pub fn of(pod: PodToPlace<'_, '_>, policy: &Policy, inventory: &Inventory) -> Self {
        let demand = demand::effective_demand(pod.patched);
        let (original, patched) = (
            SchedulingConstraints::from_pod(pod.original),
            SchedulingConstraints::from_pod(pod.patched),
        );
        let mut fit = NodeFit {
            fitting: Vec::new(),
            full: Vec::new(),
            unfit: Vec::new(),
            room: 0,
        };
        let mut unfit: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in inventory.nodes() {
            match assess(
                node,
                pod,
                &original,
                &patched,
                &demand,
                policy,
                inventory.device_classes(),
            ) {
                Assessment::Fits => {
                    fit.room = fit.room.saturating_add(room(node, pod, &demand, policy));
                    fit.fitting.push(CandidateNode::of(node, &demand, None));
                }
                Assessment::Full(unfit_reason) => {
                    fit.full.push(CandidateNode::of(node, &demand, Some(&unfit_reason)));
                }
                Assessment::Unfit(reason) => unfit.entry(reason).or_default().push(node.name.to_string()),
            }
        }
        fit.unfit = unfit
            .into_iter()
            .map(|(reason, nodes)| UnfitNodes { reason, nodes })
            .collect();
        // Most readers look for the reason that excludes most nodes.
        fit.unfit.sort_by_key(|group| std::cmp::Reverse(group.nodes.len()));
        fit
    }

    /// Whether no node could run the pod even if no other pod ran.
    pub fn is_hopeless(&self) -> bool {
        self.fitting.is_empty() && self.full.is_empty()
    }
}

/// Of several reasons, reports the one that is hardest to change: what the node offers, then
/// whether it accepts the pod, then what is free.
fn assess(
    node: &NodeEntry,
    pod: PodToPlace<'_, '_>,
    original: &SchedulingConstraints<'_>,
    patched: &SchedulingConstraints<'_>,
    demand: &Counts,
    policy: &Policy,
    classes: &DeviceClasses,
) -> Assessment {
    let held = node.check_fit_or_dra(&pod.request(demand), policy.sharing_rules(), classes);
    if let Err(unfit_reason) = &held
        && !unfit_reason.eviction_helps()
    {
        return Assessment::Unfit(unfit_reason.to_string());
    }
    let unmet = |scheduling: &SchedulingConstraints<'_>| {
        scheduling
            .constraints
            .node_mismatch(&node.name, &node.labels)
            .map(|mismatch| mismatch.to_string())
    };
    let reason = if let Some(name) = pod.original.spec.assigned_node().filter(|name| *name != &*node.name) {
        Some(format!("spec.nodeName is {name}"))
    } else if node.cordoned {
        Some("cordoned".to_owned())
    } else if !node.schedulable {
        Some("not ready".to_owned())
    } else if let Some(taint) = original.untolerated(&node.taints) {
        Some(format!("taint {taint} is not tolerated"))
    } else if let Some(constraint) = unmet(original) {
        Some(format!("ruled out by {constraint}"))
    } else {
        unmet(patched).map(|constraint| format!("ruled out by what the policy adds to {constraint}"))
    };
    match (reason, held) {
        (Some(reason), _) => Assessment::Unfit(reason),
        (None, Ok(())) => Assessment::Fits,
        (None, Err(unfit_reason)) => Assessment::Full(unfit_reason),
    }
}

/// How many such pods the node can take now.
fn room(node: &NodeEntry, pod: PodToPlace<'_, '_>, demand: &Counts, policy: &Policy) -> u64 {
    let request = pod.request(demand);
    let mut added = NodeUsage::default();
    let mut room = 0;
    // Terminates, because each pod takes some of the free shares.
    while !demand.is_empty()
        && node
            .with_usage(&added)
            .check_fit(&request, policy.sharing_rules())
            .is_ok()
    {
        added.add(&request);
        room += 1;
    }
    room
}

impl CandidateNode {
    fn of(node: &NodeEntry, demand: &Counts, unfit_reason: Option<&UnfitReason>) -> Self {
        let offers = || demand.iter().filter_map(|(resource, _)| node.offers.get(resource));
        CandidateNode {
            name: node.name.to_string(),
            shares: demand
                .iter()
                .filter_map(|(resource, needs)| {
                    let offer = node.offers.get(resource)?;
                    Some(ResourceShares {
                        resource: resource.to_string(),
                        free: node.free(offer),
                        total: offer.total,
                        needs,
                    })
                })
                .collect(),
            strategy: offers().next().map(|offer| offer.strategy.as_str()),
            product: offers()
                .find_map(|offer| offer.product.as_ref())
                .map(ToString::to_string),
            reason: unfit_reason.map(ToString::to_string),
        }
    }
}
