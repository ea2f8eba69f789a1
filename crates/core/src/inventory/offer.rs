//! Offers: what a node provides under one resource name.

use std::fmt;

use crate::gpu::{GpuResource, Strategy};
use apportion_mig::memory::MiB;
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

/// What a node provides under one resource name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    pub resource: GpuResource,
    /// How the GPUs behind the resource are shared.
    pub strategy: Strategy,
    /// The MIG profile of the devices, also where these are time-sliced.
    pub profile: Option<MigProfile>,
    /// The product, where the node has the label.
    pub product: Option<Product>,
    /// The raw value of the label [`Offer::product_key`], for node selectors.
    pub product_label: Option<Box<str>>,
    /// Allocatable shares.
    pub total: u64,
    /// Shares of each GPU or MIG device; 1 if the devices are not shared.
    pub replicas: u64,
    /// Memory of one share. Under time-slicing that of the whole device, because nothing divides
    /// it.
    pub memory: Option<MiB>,
}

impl Offer {
    pub fn class(&self) -> OfferClass {
        OfferClass {
            strategy: self.strategy,
            resource: self.resource,
        }
    }

    /// The key of the label that names the product of the offer's devices.
    pub fn product_key(&self) -> String {
        self.resource.label_key("product")
    }

    /// Memory that a share has at least: by the memory label, else by the name of the MIG profile.
    pub fn assured_memory(&self) -> Option<MiB> {
        self.memory.or_else(|| self.profile.map(MigProfile::assured_memory))
    }

    /// Whether other pods may hold shares of the same GPU or MIG device.
    pub fn is_shared(&self) -> bool {
        matches!(self.strategy, Strategy::Mps | Strategy::TimeSlicing)
    }

    /// The number of physical GPUs, or of MIG devices, behind the offer; at least 1.
    pub fn devices(&self) -> u64 {
        (self.total / self.replicas.max(1)).max(1)
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource.short_name(), self.strategy)
    }
}

/// All offers of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeOffers {
    /// At most one offer for each resource name, in the order of resources.
    pub offers: Vec<Offer>,
    /// Resources that the node advertises but that cannot be offered, with the reasons.
    pub problems: Vec<UnusableResource>,
    /// Set while nothing on the node may be used, because its GPUs are being reconfigured.
    pub reconfiguration: Option<ReconfigurationState>,
}

impl NodeOffers {
    /// The offer under a resource name.
    pub fn get(&self, resource: GpuResource) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.resource == resource)
    }

    /// Whether the node has GPUs, usable or not.
    pub fn has_gpus(&self) -> bool {
        !self.offers.is_empty() || !self.problems.is_empty() || self.reconfiguration.is_some()
    }

    /// Why a resource that the node advertises is not offered.
    pub fn problem(&self, resource: GpuResource) -> Option<&UnusableResource> {
        self.problems.iter().find(|problem| problem.resource == Some(resource))
    }
}

/// Why the GPUs of a node cannot be used for now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReconfigurationState {
    /// The MIG manager is at work, or its last change failed. Holds the value of
    /// `nvidia.com/mig.config.state`.
    MigConfig(Box<str>),
    /// The GPU Operator has stopped the device plugin for a MIG change.
    DevicePlugin,
}

impl fmt::Display for ReconfigurationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReconfigurationState::MigConfig(state) => write!(f, "MIG reconfiguration {state}"),
            ReconfigurationState::DevicePlugin => f.write_str("paused for a MIG change"),
        }
    }
}

/// A resource that a node advertises but whose labels leave open, or misstate, what it is.
///
/// `nvidia.com/gpu` can be four different things. A guess could put a training job on time slices,
/// or two tenants on one GPU, so no pod gets such a resource until the labels are right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnusableResource {
    /// `None` if the name cannot be parsed.
    pub resource: Option<GpuResource>,
    /// The reason in a few words, for scheduler events.
    pub short: &'static str,
    /// What is wrong, and how to fix it.
    pub detail: String,
}

/// Offers of one strategy under one resource name: as far as a pod spec can tell offers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferClass {
    pub strategy: Strategy,
    pub resource: GpuResource,
}
