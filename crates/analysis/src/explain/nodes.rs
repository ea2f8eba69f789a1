//! Which nodes can hold a pod, and why the others can not.

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

/// The nodes, by what they can do for a pod. CPU, memory and volumes are not looked at: the scheduler adds these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// Those that can hold the pod now, or where DRA may: such a one has no shares here.
    pub fitting: Vec<Fit>,
    /// Those that could if other pods left.
    pub full: Vec<Fit>,
    /// Those that can not, by reason.
    pub unfit: Vec<Unfit>,
    /// How many such pods the fitting nodes can hold now, in all, without those that DRA may hold.
    pub room: u64,
}

/// A node that has what the pod needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fit {
    /// Its name.
    pub name: String,
    /// The resources that the pod asks for.
    pub shares: Vec<Share>,
    /// How its GPUs are shared.
    pub strategy: Option<&'static str>,
    /// The product, as its label says.
    pub product: Option<String>,
    /// Why it can not hold the pod as long as the others are there.
    pub reason: Option<String>,
}

/// One resource of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Its name.
    pub resource: String,
    /// What nobody holds.
    pub free: u64,
    /// What there is.
    pub total: u64,
    /// What the pod needs.
    pub needs: u64,
}

/// Nodes that can not hold the pod for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unfit {
    /// Why.
    pub reason: String,
    /// Their names.
    pub nodes: Vec<String>,
}

/// A pod that looks for a node.
#[derive(Clone, Copy, Debug)]
pub struct Seeker<'s, 'a> {
    /// The pod as its user wrote it.
    pub before: &'s Pod<'a>,
    /// The pod as it is when it is scheduled.
    pub after: &'s Pod<'a>,
    /// Memory that each share must have.
    pub memory: Option<MiB>,
    /// What the pod is promised of its neighbours.
    pub terms: &'s Arc<Guarantees>,
}

/// What one node can do.
enum Verdict {
    Fits,
    Full(UnfitReason),
    Unfit(String),
}

impl Nodes {
    /// Looks at every node.
    pub fn of(seeker: Seeker<'_, '_>, policy: &Policy, inventory: &Inventory) -> Self {
        let wanted = demand::effective_demand(seeker.after);
        let (own, last) = (
            SchedulingConstraints::of(seeker.before),
            SchedulingConstraints::of(seeker.after),
        );
        let mut nodes = Nodes {
            fitting: Vec::new(),
            full: Vec::new(),
            unfit: Vec::new(),
            room: 0,
        };
        let mut unfit: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in inventory.nodes() {
            match judge(node, seeker, &own, &last, &wanted, policy, inventory.device_classes()) {
                Verdict::Fits => {
                    nodes.room = nodes.room.saturating_add(room(node, seeker, &wanted, policy));
                    nodes.fitting.push(Fit::of(node, &wanted, None));
                }
                Verdict::Full(unfit_reason) => nodes.full.push(Fit::of(node, &wanted, Some(&unfit_reason))),
                Verdict::Unfit(reason) => unfit.entry(reason).or_default().push(node.name.to_string()),
            }
        }
        nodes.unfit = unfit
            .into_iter()
            .map(|(reason, nodes)| Unfit { reason, nodes })
            .collect();
        // What keeps most nodes away is what most readers look for.
        nodes.unfit.sort_by_key(|group| std::cmp::Reverse(group.nodes.len()));
        nodes
    }

    /// Whether no node could hold the pod even if nothing else ran.
    pub fn is_hopeless(&self) -> bool {
        self.fitting.is_empty() && self.full.is_empty()
    }
}

/// The reason that would be the hardest to mend comes first: what the node is, then whether it takes the pod, then what is free.
fn judge(
    node: &NodeEntry,
    seeker: Seeker<'_, '_>,
    own: &SchedulingConstraints<'_>,
    last: &SchedulingConstraints<'_>,
    wanted: &Counts,
    policy: &Policy,
    classes: &DeviceClasses,
) -> Verdict {
    let pod_request = PodRequestRef {
        demand: wanted,
        memory: seeker.memory,
        terms: seeker.terms,
    };
    let held = node.hold_or_leave(&pod_request, policy.sharing_rules(), classes);
    if let Err(unfit_reason) = &held
        && !unfit_reason.eviction_helps()
    {
        return Verdict::Unfit(unfit_reason.to_string());
    }
    let unmet = |scheduling: &SchedulingConstraints<'_>| scheduling.constraints.unmet(&node.name, &node.labels);
    let reason = if let Some(name) = seeker.before.spec.bound_to().filter(|name| *name != &*node.name) {
        Some(format!("spec.nodeName is {name}"))
    } else if node.cordoned {
        Some("cordoned".to_owned())
    } else if !node.open {
        Some("not ready".to_owned())
    } else if let Some(taint) = own.untolerated(&node.taints) {
        Some(format!("taint {taint} is not tolerated"))
    } else if let Some(words) = unmet(own) {
        Some(format!("ruled out by {words}"))
    } else {
        unmet(last).map(|words| format!("ruled out by what the policy adds to {words}"))
    };
    match (reason, held) {
        (Some(reason), _) => Verdict::Unfit(reason),
        (None, Ok(())) => Verdict::Fits,
        (None, Err(unfit_reason)) => Verdict::Full(unfit_reason),
    }
}

/// How many such pods the node can hold now, one after the other.
fn room(node: &NodeEntry, seeker: Seeker<'_, '_>, wanted: &Counts, policy: &Policy) -> u64 {
    let pod_request = PodRequestRef {
        demand: wanted,
        memory: seeker.memory,
        terms: seeker.terms,
    };
    let mut all = NodeUsage::default();
    let mut room = 0;
    // Each takes something of what is free, so this ends.
    while !wanted.is_empty() && node.with(&all).hold(&pod_request, policy.sharing_rules()).is_ok() {
        all.add(&pod_request);
        room += 1;
    }
    room
}

impl Fit {
    fn of(node: &NodeEntry, wanted: &Counts, unfit_reason: Option<&UnfitReason>) -> Self {
        let offers = || wanted.iter().filter_map(|(resource, _)| node.offers.get(resource));
        Fit {
            name: node.name.to_string(),
            shares: wanted
                .iter()
                .filter_map(|(resource, needs)| {
                    let offer = node.offers.get(resource)?;
                    Some(Share {
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
