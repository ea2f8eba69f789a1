//! What is drawn: the structure that `--output json` prints, and that text and drawings are made from.
//!
//! Kubernetes knows on which node a pod is, and the kubelet alone which of its GPUs it holds. So shares are counted by node, never given
//! a GPU.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::glob::Glob;
use super::waiting::{Waiting, waiting};
use apportion_core::gpu::Strategy;
use apportion_core::inventory::{Inventory, NodeEntry, Offer, PodEntry};
use apportion_core::policy::PolicySet;
use apportion_core::policy::Tenant;

/// Which nodes and pods are shown.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names of nodes; all where empty.
    pub nodes: Vec<Glob>,
    /// Namespaces; all where empty.
    pub namespaces: Vec<Glob>,
}

/// What every picture says of itself.
pub const NOTE: &str = "Shares are drawn by node, from the left: which of the node's GPUs a pod is on, the kubelet decides and nobody else knows.";

/// The whole picture.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// Who has shares, in the order of their colours.
    pub tenants: Vec<String>,
    /// What there is of each strategy, on the nodes that are shown.
    pub totals: Vec<Total>,
    /// Nodes that offer alike.
    pub groups: Vec<Group>,
    /// Pods without a node.
    pub waiting: Vec<Waiting>,
    /// What must be known to read it.
    pub note: &'static str,
}

/// What there is of one strategy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The strategy.
    pub strategy: &'static str,
    /// Nodes that offer it.
    pub nodes: usize,
    /// GPUs behind it, or MIG devices.
    pub devices: u64,
    /// Shares of them.
    pub shares: u64,
    /// Shares that pods hold.
    pub held: u64,
    /// Shares that nobody holds.
    pub free: u64,
    /// The number of tenants that hold some.
    pub tenants: usize,
}

/// Nodes that offer alike.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// What they offer.
    pub title: String,
    /// The nodes, by name.
    pub nodes: Vec<Block>,
}

/// One node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Its name.
    pub name: String,
    /// Why it takes no new pods: cordoned, not ready or being reconfigured; `null` where it does.
    pub closed: Option<String>,
    /// What it offers.
    pub offers: Vec<Strip>,
    /// Resources that it has and that are offered to nobody, with the reason.
    pub problems: Vec<String>,
    /// Pods that hold what is not offered.
    pub stray: Vec<Holder>,
}

/// The shares of one offer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Strip {
    /// The resource's name.
    pub resource: String,
    /// The strategy.
    pub strategy: &'static str,
    /// The product of the GPUs.
    pub product: Option<String>,
    /// The MIG profile.
    pub profile: Option<String>,
    /// GPUs, or MIG devices.
    pub devices: u64,
    /// Shares that each of them is cut into.
    pub shares_per_device: u64,
    /// Shares in all.
    pub total: u64,
    /// Shares that nobody holds.
    pub free: u64,
    /// Memory of one share in MiB, where it is known; under time-slicing that of the device.
    pub memory_mebibytes: Option<u64>,
    /// Who holds shares.
    pub holders: Vec<Holder>,
}

/// One pod, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Whose it is: its namespace, or the value of the label that names tenants.
    pub tenant: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// The resource.
    pub resource: String,
    /// Shares that it holds.
    pub shares: u64,
    /// Whether it is on its way out.
    pub leaving: bool,
}

/// The name of a tenant.
pub fn tenant_name(tenant: &Tenant) -> String {
    match tenant {
        Tenant::Namespace(name) => name.to_string(),
        Tenant::Label { value, .. } => value.to_string(),
    }
}

impl Picture {
    /// The picture of a cluster.
    pub fn of(inventory: &Inventory, policies: &PolicySet, selection: &Selection) -> Self {
        let mut groups: BTreeMap<(Option<Strategy>, String), Vec<Block>> = BTreeMap::new();
        for node in inventory.nodes() {
            if !is_shown(node, selection) {
                continue;
            }
            let strategy = node.offers.offers.iter().map(|offer| offer.strategy).min();
            groups.entry((strategy, title(node))).or_default().push(Block::of(node));
        }
        // What nobody can be given comes last.
        let (clear, unclear): (Vec<_>, Vec<_>) = groups.into_iter().partition(|((strategy, _), _)| strategy.is_some());
        let groups: Vec<Group> = clear
            .into_iter()
            .chain(unclear)
            .map(|((_, title), nodes)| Group { title, nodes })
            .collect();
        let tenants = tenants(groups.iter().flat_map(|group| &group.nodes));
        Picture {
            totals: totals(&groups),
            waiting: waiting(inventory, policies, &selection.namespaces),
            tenants,
            groups,
            note: NOTE,
        }
    }

    /// The number of nodes.
    pub fn node_count(&self) -> usize {
        self.groups.iter().map(|group| group.nodes.len()).sum()
    }

    /// A tenant's place in the order of colours.
    pub fn color_of(&self, tenant: &str) -> usize {
        self.tenants.iter().position(|name| name == tenant).unwrap_or(0)
    }
}

/// Nodes without GPUs are not worth a place.
fn is_shown(node: &NodeEntry, selection: &Selection) -> bool {
    let has_gpus = node.offers.has_gpus() || !node.pods.is_empty();
    let is_of = |pod: &PodEntry| Glob::any(&selection.namespaces, &pod.record.namespace);
    has_gpus
        && Glob::any(&selection.nodes, &node.name)
        && (selection.namespaces.is_empty() || node.pods.iter().any(|pod| is_of(pod)))
}

/// What a node offers, each product named once.
fn title(node: &NodeEntry) -> String {
    let mut kinds: Vec<(String, Vec<String>)> = Vec::new();
    for offer in &node.offers.offers {
        let product = offer
            .product
            .as_ref()
            .map_or_else(|| "GPU".to_owned(), ToString::to_string);
        let kind = kind_of(offer);
        match kinds.iter_mut().find(|(known, _)| *known == product) {
            Some((_, kinds)) => kinds.push(kind),
            None => kinds.push((product, vec![kind])),
        }
    }
    if kinds.is_empty() {
        return "Offered to nobody".to_owned();
    }
    let parts: Vec<String> = kinds
        .into_iter()
        .map(|(product, kinds)| format!("{product}: {}", kinds.join(", ")))
        .collect();
    parts.join("; ")
}

fn kind_of(offer: &Offer) -> String {
    let profile = offer.profile.map(|profile| format!("{profile} ")).unwrap_or_default();
    match offer.strategy {
        Strategy::Exclusive => "whole".to_owned(),
        Strategy::Mig => format!("MIG {}", profile.trim_end()),
        shared => format!("{profile}{shared} by {}", offer.replicas),
    }
}

impl Block {
    fn of(node: &NodeEntry) -> Self {
        let closed = match &node.offers.paused {
            Some(pause) => Some(pause.to_string()),
            None if node.cordoned => Some("cordoned".to_owned()),
            None if !node.open => Some("not ready".to_owned()),
            None => None,
        };
        let is_offered = |holder: &Holder| {
            let mut names = node.offers.offers.iter().map(|offer| offer.resource.to_string());
            names.any(|name| name == holder.resource)
        };
        let (held, stray): (Vec<Holder>, Vec<Holder>) =
            node.pods.iter().flat_map(|pod| holders(pod)).partition(is_offered);
        Block {
            name: node.name.to_string(),
            closed,
            offers: node
                .offers
                .offers
                .iter()
                .map(|offer| Strip::of(node, offer, &held))
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
            stray,
        }
    }

    /// Shares in all, and those that are held.
    pub fn fill(&self) -> (u64, u64) {
        let total: u64 = self.offers.iter().map(|strip| strip.total).sum();
        let free: u64 = self.offers.iter().map(|strip| strip.free).sum();
        (total, total - free)
    }
}

impl Strip {
    fn of(node: &NodeEntry, offer: &Offer, held: &[Holder]) -> Self {
        let resource = offer.resource.to_string();
        let mut holders: Vec<Holder> = held
            .iter()
            .filter(|holder| holder.resource == resource)
            .cloned()
            .collect();
        holders.sort();
        Strip {
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

    /// The holder of each share in turn, `None` for those that are free. A device that was lost may leave more held than there are.
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
        tenant: tenant_name(&pod.terms.tenant),
        namespace: pod.record.namespace.to_string(),
        pod: pod.record.name.to_string(),
        resource: resource.to_string(),
        shares,
        leaving: pod.record.leaving,
    })
}

fn tenants<'b>(blocks: impl Iterator<Item = &'b Block>) -> Vec<String> {
    let names: BTreeSet<&String> = blocks
        .flat_map(|block| block.offers.iter().flat_map(|strip| &strip.holders).chain(&block.stray))
        .map(|holder| &holder.tenant)
        .collect();
    names.into_iter().cloned().collect()
}

fn totals(groups: &[Group]) -> Vec<Total> {
    let blocks = || groups.iter().flat_map(|group| &group.nodes);
    Strategy::ALL
        .into_iter()
        .filter_map(|strategy| {
            let strips = |block: &'_ Block| -> Vec<Strip> {
                let own = block.offers.iter().filter(|strip| strip.strategy == strategy.as_str());
                own.cloned().collect()
            };
            let each: Vec<Vec<Strip>> = blocks().map(strips).filter(|strips| !strips.is_empty()).collect();
            let sum = |of: fn(&Strip) -> u64| each.iter().flatten().map(of).sum::<u64>();
            let holders = each.iter().flatten().flat_map(|strip| &strip.holders);
            let tenants: BTreeSet<&String> = holders.map(|holder| &holder.tenant).collect();
            let (shares, free) = (sum(|strip| strip.total), sum(|strip| strip.free));
            (!each.is_empty()).then(|| Total {
                strategy: strategy.as_str(),
                nodes: each.len(),
                devices: sum(|strip| strip.devices),
                shares,
                held: shares - free,
                free,
                tenants: tenants.len(),
            })
        })
        .collect()
}
