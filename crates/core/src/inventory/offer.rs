//! Offers: what a node gives under one resource name.

use std::fmt;

use crate::gpu::{GpuResource, Strategy};
use apportion_mig::memory::MiB;
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

/// What a node gives under one resource name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// The name to ask for.
    pub resource: GpuResource,
    /// How the GPUs behind it are shared.
    pub strategy: Strategy,
    /// The MIG profile of the device, or of the device that is shared in turn.
    pub profile: Option<MigProfile>,
    /// The product, where its label is there.
    pub product: Option<Product>,
    /// The raw value of the product label under [`Offer::product_key`], to select nodes by.
    pub product_label: Option<Box<str>>,
    /// Shares in all: what the kubelet says is allocatable.
    pub total: u64,
    /// Shares that each GPU or MIG device is cut into; 1 where it is not.
    pub replicas: u64,
    /// Memory of one share. Under time-slicing that of the whole device, since nothing divides it.
    pub memory: Option<MiB>,
}

impl Offer {
    /// The class that it belongs to.
    pub fn class(&self) -> OfferClass {
        OfferClass {
            strategy: self.strategy,
            resource: self.resource,
        }
    }

    /// The key of the label that names the product of this offer's devices.
    pub fn product_key(&self) -> String {
        self.resource.label_key("product")
    }

    /// Memory that a pod may count on: the label's where it is there, else what the profile's name assures.
    pub fn assured_memory(&self) -> Option<MiB> {
        self.memory.or_else(|| self.profile.map(MigProfile::assured_memory))
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
    /// The offers, at most one for each resource name.
    pub offers: Vec<Offer>,
    /// Why resources that the node advertises are not offered.
    pub problems: Vec<UnusableResource>,
    /// Why the whole node offers nothing for now.
    pub paused: Option<ReconfigurationState>,
}

impl NodeOffers {
    /// The offer under a resource name.
    pub fn get(&self, resource: GpuResource) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.resource == resource)
    }

    /// Whether the node has GPUs, also such that nobody can be given now.
    pub fn has_gpus(&self) -> bool {
        !self.offers.is_empty() || !self.problems.is_empty() || self.paused.is_some()
    }

    /// Why nothing is offered under a resource name that the node advertises.
    pub fn problem(&self, resource: GpuResource) -> Option<&UnusableResource> {
        self.problems.iter().find(|problem| problem.resource == Some(resource))
    }
}

/// Why a node offers nothing for now, though it has GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReconfigurationState {
    /// The MIG manager is at work, or its last change failed: the state that its label gives.
    MigConfig(Box<str>),
    /// The device plugin is held back for a MIG change.
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

/// A resource that a node advertises and that we do not offer, since its labels do not say, or misstate, what it is.
///
/// `nvidia.com/gpu` can be four different things. Where labels leave that open, a guess would put a training job on time
/// slices or a tenant beside a stranger; so such a resource is offered to nobody until the labels are right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnusableResource {
    /// The resource; `None` for a name that could not be read.
    pub resource: Option<GpuResource>,
    /// The short form, for `kubectl describe pod`.
    pub short: &'static str,
    /// What is wrong, and what to do.
    pub detail: String,
}

/// Offers that a pod spec can tell apart from others: those of one strategy under one resource name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferClass {
    /// How the GPUs are shared.
    pub strategy: Strategy,
    /// The name to ask for.
    pub resource: GpuResource,
}
