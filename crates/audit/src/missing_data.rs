//! What a report does not cover, so that a missing value is not mistaken for zero.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::allocation::{PoolAllocations, Scope};
use super::device::DeviceKey;
use super::pool::Pool;
use super::price::PriceList;
use super::samples::Samples;
use super::window::{Window, real};
use apportion_core::inventory::Ledger;
use apportion_core::inventory::PodPlacement;

/// How many names an entry lists.
const MAX_NAMES: usize = 8;

/// Data of one kind that the report lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingData {
    pub kind: MissingDataKind,
    /// The number of affected objects.
    pub count: usize,
    /// The first few of them.
    pub names: Vec<String>,
    /// What it means and how to fix it.
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingDataKind {
    /// The cluster has nodes with GPUs that have no metrics.
    NodesWithoutMetrics,
    /// The metrics have nodes that the cluster does not have.
    NodesNotInCluster,
    /// The labels of nodes leave open what their GPUs are.
    #[serde(rename = "nodesInDoubt")]
    NodesWithUnclearLabels,
    /// Devices lack samples for a part of the window.
    #[serde(rename = "devicesWithHoles")]
    DevicesWithGaps,
    /// Devices have memory metrics but no utilization.
    DevicesWithoutUtilization,
    /// The size of MIG devices, as a fraction of a GPU, is unknown.
    DevicesOfUnknownSize,
    /// The values of pods are those of a shared device, or of all devices that may be theirs.
    #[serde(rename = "podsBehindSharedDevices")]
    PodsOnSharedDevices,
    /// The exporter names one of several pods on a shared device.
    #[serde(rename = "podsNamedForOthers")]
    PodsNamedOnSharedDevices,
    /// Pods hold devices that have no metrics.
    PodsWithoutMetrics,
    /// The start time of pods is unknown.
    PodsWithoutStart,
    /// The metrics have namespaces that the cluster does not have.
    NamespacesNotInCluster,
    /// The price list lacks products.
    ProductsWithoutPrice,
}

impl MissingDataKind {
    fn note(self) -> &'static str {
        match self {
            MissingDataKind::NodesWithoutMetrics => {
                "Nodes with GPUs have no metrics: run dcgm-exporter there and scrape it"
            }
            MissingDataKind::NodesNotInCluster => {
                "Nodes have metrics but are not in the cluster: deleted since, or part of another cluster (select one with --selector). How their GPUs were shared is unknown"
            }
            MissingDataKind::NodesWithUnclearLabels => {
                "Node labels leave open what the GPUs are; `apportion lint --cluster` says why"
            }
            MissingDataKind::DevicesWithGaps => {
                "Devices have no samples for a part of the window; hours without a sample are in no sum"
            }
            MissingDataKind::DevicesWithoutUtilization => {
                "Devices have memory metrics but no utilization; on MIG, enable the profiling metrics of dcgm-exporter (DCGM_FI_PROF_GR_ENGINE_ACTIVE)"
            }
            MissingDataKind::DevicesOfUnknownSize => {
                "MIG devices have a profile of unknown size, as a fraction of a GPU; they are in no sum"
            }
            MissingDataKind::PodsOnSharedDevices => {
                "Metrics do not distinguish these pods, because they share devices or no device names them: their values are those of the device or of the node's devices, not their own. dcgm-exporter with KUBERNETES_VIRTUAL_GPUS=true distinguishes pods that share a GPU. Deleted pods of this kind are missing"
            }
            MissingDataKind::PodsNamedOnSharedDevices => {
                "The exporter names these pods on shared devices; it names only the last of several pods, so the names were ignored"
            }
            MissingDataKind::PodsWithoutMetrics => "Pods hold GPUs that have no metrics",
            MissingDataKind::PodsWithoutStart => {
                "The status of pods that hold devices has no start time; their hours are in no sum"
            }
            MissingDataKind::NamespacesNotInCluster => {
                "Namespaces held GPUs but are not in the cluster: deleted since, or part of another cluster; their policies are unknown"
            }
            MissingDataKind::ProductsWithoutPrice => {
                "The price list lacks these products, so their cost is in no sum. Add them, or `default`"
            }
        }
    }

    /// Returns an entry for these objects, or `None` if there are none.
    pub fn of(self, names: impl IntoIterator<Item = String>) -> Option<MissingData> {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        names.dedup();
        let count = names.len();
        names.truncate(MAX_NAMES);
        (count > 0).then(|| MissingData {
            kind: self,
            count,
            names,
            note: self.note().to_owned(),
        })
    }
}

impl fmt::Display for MissingData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = match self.count.saturating_sub(self.names.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        write!(f, "{}. {}: {}{more}", self.note, self.count, self.names.join(", "))
    }
}

/// Lists everything that the samples, the cluster and the price list lack. `allocations` belong to
/// the pools one by one.
pub fn missing_data(
    samples: &Samples,
    cluster: &Ledger,
    prices: Option<&PriceList>,
    window: &Window,
    pools: &[Pool<'_>],
    allocations: &[PoolAllocations<'_>],
) -> Vec<MissingData> {
    let inventory = cluster.inventory();
    let nodes_with_metrics: BTreeSet<&str> = pools.iter().map(|pool| pool.node).collect();
    let devices = || {
        pools
            .iter()
            .flat_map(|pool| pool.devices.iter().map(move |(key, device)| (pool, *key, *device)))
    };
    let all_allocations = || allocations.iter().flat_map(|pool| &pool.allocations);
    let known: BTreeSet<(&str, &str)> = all_allocations()
        .map(|allocation| (allocation.namespace, allocation.pod))
        .chain(
            allocations
                .iter()
                .flat_map(|pool| pool.pods_without_start.iter().copied()),
        )
        .collect();
    let unknown = cluster
        .pods()
        .map(|(_, record)| record)
        .filter(|record| matches!(record.placement, PodPlacement::Node(_)))
        .map(|record| (&*record.namespace, &*record.name))
        .filter(|pod| !known.contains(pod));
    [
        MissingDataKind::NodesWithoutMetrics.of(inventory
            .nodes()
            .filter(|node| node.offers.has_gpus() && !nodes_with_metrics.contains(&*node.name))
            .map(|node| node.name.to_string())),
        MissingDataKind::NodesNotInCluster.of(pools
            .iter()
            .filter(|pool| pool.entry.is_none())
            .map(|pool| pool.node.to_owned())),
        MissingDataKind::NodesWithUnclearLabels.of(pools
            .iter()
            .filter(|pool| pool.entry.is_some() && pool.offer.is_none())
            .map(|pool| pool.node.to_owned())),
        MissingDataKind::DevicesWithGaps.of(devices()
            .filter(|(_, _, device)| device.activity.steps > 0.0 && device.activity.steps < real(window.steps()))
            .map(|(_, key, _)| device_name(key))),
        MissingDataKind::DevicesWithoutUtilization.of(devices()
            .filter(|(_, _, device)| device.activity.steps == 0.0)
            .map(|(_, key, _)| device_name(key))),
        MissingDataKind::DevicesOfUnknownSize.of(devices()
            .filter(|(pool, _, _)| pool.gpu_fraction.is_none())
            .map(|(_, key, _)| device_name(key))),
        MissingDataKind::PodsOnSharedDevices.of(all_allocations()
            .filter(|allocation| allocation.scope != Scope::Own)
            .map(|allocation| pod_name(&(allocation.namespace, allocation.pod)))),
        MissingDataKind::PodsNamedOnSharedDevices
            .of(allocations.iter().flat_map(|pool| &pool.ignored_pods).map(pod_name)),
        MissingDataKind::PodsWithoutMetrics.of(unknown.map(|pod| pod_name(&pod))),
        MissingDataKind::PodsWithoutStart.of(allocations
            .iter()
            .flat_map(|pool| &pool.pods_without_start)
            .map(pod_name)),
        MissingDataKind::NamespacesNotInCluster.of(samples
            .pods
            .values()
            .flat_map(BTreeMap::keys)
            .filter(|pod| inventory.namespace(&pod.namespace).is_none())
            .map(|pod| pod.namespace.to_string())),
        prices.and_then(|prices| {
            let without = pools
                .iter()
                .filter(|pool| prices.per_hour(pool.product.as_ref()).is_none());
            MissingDataKind::ProductsWithoutPrice.of(without.map(|pool| {
                pool.product
                    .as_ref()
                    .map_or_else(|| format!("GPUs of {}", pool.node), ToString::to_string)
            }))
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn device_name(key: &DeviceKey) -> String {
    match &*key.instance {
        "" => format!("{} {}", key.node, key.uuid),
        instance => format!("{} {} MIG {instance}", key.node, key.uuid),
    }
}

fn pod_name((namespace, pod): &(&str, &str)) -> String {
    format!("{namespace}/{pod}")
}
