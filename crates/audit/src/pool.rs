//! Devices of one node that are alike: its whole GPUs, or its MIG devices of one profile.
//!
//! NVIDIA's device plugin shares all of them in the same way or none, and the kubelet picks among them. So where the exporter does not
//! say who holds which, this is the narrowest group that a pod can be placed in.

use std::collections::BTreeMap;

use super::device::{DeviceKey, DeviceReading};
use super::readings::Readings;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::names::gpu_label;
use apportion_core::inventory::{Inventory, NodeEntry, Offer};
use apportion_core::k8s::LabelSource as _;
use apportion_mig::geometry;
use apportion_mig::memory::MiB;
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

/// Devices of one node that are alike.
#[derive(Clone, Debug)]
pub struct Pool<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The node, where the cluster has it.
    pub entry: Option<&'a NodeEntry>,
    /// What the node offers them as, where its labels say so.
    pub offer: Option<&'a Offer>,
    /// The product.
    pub product: Option<Product>,
    /// The profile, of MIG devices whose profile is known.
    pub profile: Option<MigProfile>,
    /// The part of a GPU that each of them is; `None` where that can not be known.
    pub part: Option<f64>,
    /// The devices.
    pub devices: Vec<(&'a DeviceKey, &'a DeviceReading)>,
}

impl<'a> Pool<'a> {
    /// All pools, by node.
    pub fn all(readings: &'a Readings, inventory: &'a Inventory) -> Vec<Self> {
        let mut grouped: BTreeMap<(&str, &str), Vec<(&DeviceKey, &DeviceReading)>> = BTreeMap::new();
        for (key, reading) in &readings.devices {
            grouped
                .entry((&key.node, &key.profile))
                .or_default()
                .push((key, reading));
        }
        grouped
            .into_iter()
            .map(|((node, _), devices)| Self::of(node, devices, inventory))
            .collect()
    }

    fn of(node: &'a str, devices: Vec<(&'a DeviceKey, &'a DeviceReading)>, inventory: &'a Inventory) -> Self {
        let entry = inventory.node(node);
        let is_mig = devices.iter().any(|(key, _)| key.is_mig());
        let profile = devices.iter().find_map(|(key, _)| key.mig_profile());
        let offer = entry.and_then(|entry| {
            let mut offers = entry.offers.offers.iter();
            offers.find(|offer| offer.profile == profile && is_mig == profile.is_some())
        });
        let product = offer
            .and_then(|offer| offer.product.clone())
            .or_else(|| devices.iter().find_map(|(_, reading)| reading.product.clone()));
        let part = match (is_mig, profile) {
            (false, _) => Some(1.0),
            (true, Some(profile)) => {
                let model = product
                    .as_ref()
                    .and_then(|product| geometry::model_of(product, whole_memory(product, entry)));
                model.and_then(|model| model.part(profile))
            }
            (true, None) => None,
        };
        Pool {
            node,
            entry,
            offer,
            product,
            profile,
            part,
            devices,
        }
    }

    /// How its devices are shared, where that is known.
    pub fn strategy(&self) -> Option<Strategy> {
        self.offer.map(|offer| offer.strategy)
    }

    /// Whether several pods can hold one device.
    pub fn is_shared(&self) -> bool {
        matches!(self.strategy(), Some(Strategy::Mps | Strategy::TimeSlicing))
    }

    /// What a device is called beside its product: its profile, or nothing.
    pub fn profile_text(&self) -> Option<String> {
        self.profile.map(|profile| profile.to_string())
    }
}

/// Memory of a whole GPU of this product: as its name says, or as the label of its node does, which under MIG `single` is that of a
/// device and so no help.
pub fn whole_memory(product: &Product, entry: Option<&NodeEntry>) -> Option<MiB> {
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
