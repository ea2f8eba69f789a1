//! Pools of equal devices on one node: its whole GPUs, or its MIG devices of one profile.
//!
//! NVIDIA's device plugin shares all devices of a pool in the same way, and the kubelet picks any of
//! them for a pod. If the exporter does not say which pod holds which device, the pool is the
//! narrowest known group of devices that contains the pod's.

use std::collections::BTreeMap;

use super::device::{DeviceKey, DeviceSamples};
use super::samples::Samples;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::names::gpu_label;
use apportion_core::inventory::{Inventory, NodeEntry, Offer};
use apportion_core::k8s::LabelSource as _;
use apportion_mig::lookup;
use apportion_mig::memory::MiB;
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

#[derive(Clone, Debug)]
pub struct Pool<'a> {
    pub node: &'a str,
    /// `None` if the cluster does not have the node.
    pub entry: Option<&'a NodeEntry>,
    /// How the node offers the devices; `None` if its labels leave that open.
    pub offer: Option<&'a Offer>,
    pub product: Option<Product>,
    /// The profile of MIG devices, if it is a known one.
    pub profile: Option<MigProfile>,
    /// Each device as a fraction of a GPU; `None` if unknown.
    pub gpu_fraction: Option<f64>,
    pub devices: Vec<(&'a DeviceKey, &'a DeviceSamples)>,
}

impl<'a> Pool<'a> {
    /// Groups all devices into pools, ordered by node.
    pub fn all(samples: &'a Samples, inventory: &'a Inventory) -> Vec<Self> {
        let mut grouped: BTreeMap<(&str, &str), Vec<(&DeviceKey, &DeviceSamples)>> = BTreeMap::new();
        for (key, device) in &samples.devices {
            grouped
                .entry((&key.node, &key.profile))
                .or_default()
                .push((key, device));
        }
        grouped
            .into_iter()
            .map(|((node, _), devices)| Self::of(node, devices, inventory))
            .collect()
    }

    fn of(node: &'a str, devices: Vec<(&'a DeviceKey, &'a DeviceSamples)>, inventory: &'a Inventory) -> Self {
        let entry = inventory.node(node);
        let is_mig = devices.iter().any(|(key, _)| key.is_mig());
        let profile = devices.iter().find_map(|(key, _)| key.mig_profile());
        let offer = entry.and_then(|entry| {
            let mut offers = entry.offers.offers.iter();
            offers.find(|offer| offer.profile == profile && is_mig == profile.is_some())
        });
        let product = offer
            .and_then(|offer| offer.product.clone())
            .or_else(|| devices.iter().find_map(|(_, device)| device.product.clone()));
        let gpu_fraction = match (is_mig, profile) {
            (false, _) => Some(1.0),
            (true, Some(profile)) => {
                let model = product
                    .as_ref()
                    .and_then(|product| lookup::model_of(product, whole_memory(product, entry)));
                model.and_then(|model| model.gpu_fraction(profile))
            }
            (true, None) => None,
        };
        Pool {
            node,
            entry,
            offer,
            product,
            profile,
            gpu_fraction,
            devices,
        }
    }

    /// How the devices are shared; `None` if unknown.
    pub fn strategy(&self) -> Option<Strategy> {
        self.offer.map(|offer| offer.strategy)
    }

    /// Whether several pods can hold the same device.
    pub fn is_shared(&self) -> bool {
        matches!(self.strategy(), Some(Strategy::Mps | Strategy::TimeSlicing))
    }
}

/// The memory of a whole GPU: from the product name, or else from the node's label. Under MIG
/// strategy `single` that label has the memory of a MIG device, so it is ignored.
fn whole_memory(product: &Product, entry: Option<&NodeEntry>) -> Option<MiB> {
    let words = product.as_str().split('-');
    let named = words
        .filter_map(|word| word.strip_suffix("GB")?.parse::<u64>().ok())
        .next_back();
    named.map(|gigabytes| MiB(gigabytes * 1024)).or_else(|| {
        let labels = &entry?.labels;
        if labels.label(gpu_label::MIG_SLICES).is_some() {
            return None;
        }
        labels.label(gpu_label::MEMORY)?.parse().ok()
    })
}
