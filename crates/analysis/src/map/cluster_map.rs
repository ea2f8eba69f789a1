//! The map of a cluster: what nodes offer, and which pods hold or await shares.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::selection::Selection;
use super::waiting::{WaitingPod, tenant_name, waiting_pods};
use apportion_core::gpu::Strategy;
use apportion_core::inventory::{Inventory, NodeEntry, Offer, PodEntry};
use apportion_core::policy::PolicySet;

/// What every map says about itself.
pub const NOTE: &str = "Shares are counted per node and drawn from the left: the kubelet decides which of a node's GPUs a pod uses, and the API does not show it.";

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterMap {
    /// The tenants that hold shares, in the order of their colours.
    pub tenants: Vec<String>,
    /// Totals of the shown nodes, by strategy.
    pub totals: Vec<StrategyTotal>,
    pub groups: Vec<Group>,
    pub waiting: Vec<WaitingPod>,
    /// [`NOTE`].
    pub note: &'static str,
}

/// The shares of one strategy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StrategyTotal {
    pub strategy: &'static str,
    /// How many nodes offer it.
    pub nodes: usize,
    /// GPUs, or MIG devices.
    pub devices: u64,
    /// All shares of these devices, held or free.
    pub shares: u64,
    pub held: u64,
    pub free: u64,
    /// How many tenants hold shares.
    pub tenants: usize,
}

/// Nodes with the same offers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// What the nodes offer.
    pub title: String,
    pub nodes: Vec<MapNode>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapNode {
    pub name: String,
    /// Why the node accepts no new pods: cordoned, not ready or being reconfigured; `null` if it
    /// does.
    #[serde(rename = "closed")]
    pub closed_reason: Option<String>,
    pub offers: Vec<MapOffer>,
    /// Why resources of the node are not offered.
    pub problems: Vec<String>,
    /// Pods that hold resources which the node does not offer.
    #[serde(rename = "stray")]
    pub unoffered: Vec<Holder>,
}

/// An offer of a node, and who holds its shares.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapOffer {
    pub resource: String,
    pub strategy: &'static str,
    pub product: Option<String>,
    /// The MIG profile.
    pub profile: Option<String>,
    /// GPUs, or MIG devices.
    pub devices: u64,
    pub shares_per_device: u64,
    /// All shares, held or free.
    pub total: u64,
    pub free: u64,
    /// Memory of one share in MiB, if known; under time-slicing that of the device.
    pub memory_mebibytes: Option<u64>,
    pub holders: Vec<Holder>,
}

/// A pod and the shares of one resource that it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The pod's namespace, or the value of the label that names tenants.
    pub tenant: String,
    pub namespace: String,
    pub pod: String,
    pub resource: String,
    pub shares: u64,
    /// Whether the pod is being deleted.
    pub leaving: bool,
}

impl ClusterMap {
    pub fn of(inventory: &Inventory, policies: &PolicySet, selection: &Selection) -> Self {
        let mut groups: BTreeMap<(Option<Strategy>, String), Vec<MapNode>> = BTreeMap::new();
        for node in inventory.nodes() {
            if !is_shown(node, selection) {
                continue;
            }
            let strategy = node.offers.offers.iter().map(|offer| offer.strategy).min();
            groups
                .entry((strategy, title(node)))
                .or_default()
                .push(MapNode::of(node));
        }
        // Nodes without offers come last.
        let (offering, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|((strategy, _), _)| strategy.is_some());
        let groups: Vec<Group> = offering
            .into_iter()
            .chain(others)
            .map(|((_, title), nodes)| Group { title, nodes })
            .collect();
        let tenants = tenants(groups.iter().flat_map(|group| &group.nodes));
        ClusterMap {
            totals: totals(&groups),
            waiting: waiting_pods(inventory, policies, selection),
            tenants,
            groups,
            note: NOTE,
        }
    }

    pub fn node_count(&self) -> usize {
        self.groups.iter().map(|group| group.nodes.len()).sum()
    }

    /// The index of a tenant in the order of colours.
    pub fn color_index(&self, tenant: &str) -> usize {
        self.tenants.iter().position(|name| name == tenant).unwrap_or(0)
    }
}

fn is_shown(node: &NodeEntry, selection: &Selection) -> bool {
    let has_gpus = node.offers.has_gpus() || !node.pods.is_empty();
    has_gpus
        && selection.has_node(&node.name)
        && (selection.has_all_namespaces()
            || node
                .pods
                .iter()
                .any(|pod| selection.has_namespace(&pod.record.namespace)))
}

/// The offers of a node, with each product named once.
fn title(node: &NodeEntry) -> String {
    let mut kinds: Vec<(String, Vec<String>)> = Vec::new();
    for offer in &node.offers.offers {
        let product = offer
            .product
            .as_ref()
            .map_or_else(|| "GPU".to_owned(), ToString::to_string);
        let kind = offer_kind(offer);
        match kinds.iter_mut().find(|(known, _)| *known == product) {
            Some((_, kinds)) => kinds.push(kind),
            None => kinds.push((product, vec![kind])),
        }
    }
    if kinds.is_empty() {
        return "Not offered".to_owned();
    }
    let parts: Vec<String> = kinds
        .into_iter()
        .map(|(product, kinds)| format!("{product}: {}", kinds.join(", ")))
        .collect();
    parts.join("; ")
}

fn offer_kind(offer: &Offer) -> String {
    let profile = offer.profile.map(|profile| format!("{profile} ")).unwrap_or_default();
    match offer.strategy {
        Strategy::Exclusive => "whole".to_owned(),
        Strategy::Mig => format!("MIG {}", profile.trim_end()),
        shared => format!("{profile}{shared} by {}", offer.replicas),
    }
}

impl MapNode {
    fn of(node: &NodeEntry) -> Self {
        let closed_reason = match &node.offers.reconfiguration {
            Some(pause) => Some(pause.to_string()),
            None if node.cordoned => Some("cordoned".to_owned()),
            None if !node.schedulable => Some("not ready".to_owned()),
            None => None,
        };
        let is_offered = |holder: &Holder| {
            let mut names = node.offers.offers.iter().map(|offer| offer.resource.to_string());
            names.any(|name| name == holder.resource)
        };
        let (held, unoffered): (Vec<Holder>, Vec<Holder>) =
            node.pods.iter().flat_map(|pod| holders(pod)).partition(is_offered);
        MapNode {
            name: node.name.to_string(),
            closed_reason,
            offers: node
                .offers
                .offers
                .iter()
                .map(|offer| MapOffer::of(node, offer, &held))
                .collect(),
            problems: node
                .offers
                .problems
                .iter()
                .map(|problem| match problem.resource {
                    Some(resource) => format!("{}: {}", resource.short_name(), problem.short),
                    None => problem.short.to_owned(),
                })
                .collect(),
            unoffered,
        }
    }

    /// Total and held shares.
    pub fn usage(&self) -> (u64, u64) {
        let total: u64 = self.offers.iter().map(|offer| offer.total).sum();
        let free: u64 = self.offers.iter().map(|offer| offer.free).sum();
        (total, total - free)
    }
}

impl MapOffer {
    fn of(node: &NodeEntry, offer: &Offer, held: &[Holder]) -> Self {
        let resource = offer.resource.to_string();
        let mut holders: Vec<Holder> = held
            .iter()
            .filter(|holder| holder.resource == resource)
            .cloned()
            .collect();
        holders.sort();
        MapOffer {
            strategy: offer.strategy.as_str(),
            product: offer.product.as_ref().map(ToString::to_string),
            profile: offer.profile.map(|profile| profile.to_string()),
            devices: if offer.total == 0 { 0 } else { offer.devices() },
            shares_per_device: offer.replicas,
            total: offer.total,
            free: node.free(offer),
            memory_mebibytes: offer.memory.map(|memory| memory.0),
            holders,
            resource,
        }
    }

    /// The holder of each share, with `None` for free ones. If the node lost a device, there may be
    /// more of these than [`MapOffer::total`].
    pub fn cells(&self) -> Vec<Option<&Holder>> {
        let held = self
            .holders
            .iter()
            .flat_map(|holder| std::iter::repeat_n(Some(holder), usize::try_from(holder.shares).unwrap_or(0)));
        let free = std::iter::repeat_n(None, usize::try_from(self.free).unwrap_or(0));
        held.chain(free).collect()
    }
}

fn holders(pod: &PodEntry) -> impl Iterator<Item = Holder> {
    pod.record.demand.iter().map(|(resource, shares)| Holder {
        tenant: tenant_name(&pod.guarantees.tenant),
        namespace: pod.record.namespace.to_string(),
        pod: pod.record.name.to_string(),
        resource: resource.to_string(),
        shares,
        leaving: pod.record.terminating,
    })
}

fn tenants<'n>(nodes: impl Iterator<Item = &'n MapNode>) -> Vec<String> {
    let names: BTreeSet<&String> = nodes
        .flat_map(|node| {
            node.offers
                .iter()
                .flat_map(|offer| &offer.holders)
                .chain(&node.unoffered)
        })
        .map(|holder| &holder.tenant)
        .collect();
    names.into_iter().cloned().collect()
}

fn totals(groups: &[Group]) -> Vec<StrategyTotal> {
    let nodes = || groups.iter().flat_map(|group| &group.nodes);
    Strategy::ALL
        .into_iter()
        .filter_map(|strategy| {
            let of_strategy = |node: &'_ MapNode| -> Vec<MapOffer> {
                let offers = node.offers.iter().filter(|offer| offer.strategy == strategy.as_str());
                offers.cloned().collect()
            };
            let by_node: Vec<Vec<MapOffer>> = nodes().map(of_strategy).filter(|offers| !offers.is_empty()).collect();
            let sum = |count: fn(&MapOffer) -> u64| by_node.iter().flatten().map(count).sum::<u64>();
            let holders = by_node.iter().flatten().flat_map(|offer| &offer.holders);
            let tenants: BTreeSet<&String> = holders.map(|holder| &holder.tenant).collect();
            let (shares, free) = (sum(|offer| offer.total), sum(|offer| offer.free));
            (!by_node.is_empty()).then(|| StrategyTotal {
                strategy: strategy.as_str(),
                nodes: by_node.len(),
                devices: sum(|offer| offer.devices),
                shares,
                held: shares - free,
                free,
                tenants: tenants.len(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_keys_differ_from_field_names_where_programs_rely_on_them() {
        let node = MapNode {
            name: "n".to_owned(),
            closed_reason: None,
            offers: Vec::new(),
            problems: Vec::new(),
            unoffered: Vec::new(),
        };
        assert_eq!(
            serde_json::to_value(node).unwrap(),
            json!({"name": "n", "closed": null, "offers": [], "problems": [], "stray": []})
        );
    }

    #[test]
    fn lost_device_leaves_more_held_cells_than_shares() {
        let holder = Holder {
            tenant: "t".to_owned(),
            namespace: "t".to_owned(),
            pod: "p".to_owned(),
            resource: "nvidia.com/gpu".to_owned(),
            shares: 3,
            leaving: false,
        };
        let offer = |total, free, holders: &[Holder]| MapOffer {
            resource: "nvidia.com/gpu".to_owned(),
            strategy: "exclusive",
            product: None,
            profile: None,
            devices: total,
            shares_per_device: 1,
            total,
            free,
            memory_mebibytes: None,
            holders: holders.to_vec(),
        };
        let cells = |offer: &MapOffer| offer.cells().iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(
            cells(&offer(4, 1, std::slice::from_ref(&holder))),
            [true, true, true, false]
        );
        assert_eq!(cells(&offer(2, 0, &[holder])), [true; 3]);
    }
}
