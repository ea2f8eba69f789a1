//! A plan, checked: NVIDIA's components take what is made of it, and do it.

use crate::file_keys::mig_parted;
use apportion_core::diagnostics::Location;
use apportion_core::gpu::{GpuResource, Strategy};
use apportion_core::k8s::LabelSelector;
use apportion_mig::product::ProductPattern;
use apportion_mig::profile::MigProfile;

/// The kind of plans.
pub const KIND: &str = "GpuSharingPlan";

/// The configuration that nodes without a label get where the plan names none: whole GPUs, as without any configuration, but said.
pub const UNSHARED: &str = "unshared";
/// Names that no pool may take: those of entries that are there beside the pools'.
pub const RESERVED: [&str; 3] = [mig_parted::ALL_DISABLED, "all-enabled", UNSHARED];

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The namespace of the GPU Operator's release, where its pods can mount a `ConfigMap` from.
    pub operator_namespace: String,
    /// `mig.strategy` of the operator, where every pool agrees with it; `None` leaves it to each pool.
    pub operator_mig_strategy: Option<MigStrategy>,
    /// The device plugin's `ConfigMap`.
    pub config_map: String,
    /// The pool whose configuration unlabelled nodes get.
    pub default: Option<String>,
    /// Environment variables of the device plugin that hold on every node.
    pub plugin_environment: Vec<(&'static str, String)>,
    /// The scheduler's name.
    pub scheduler: String,
    /// The namespace of the scheduler's lease.
    pub scheduler_namespace: String,
    /// The pools, at least one.
    pub pools: Vec<Pool>,
}

/// Nodes that share their GPUs alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The GPUs of its nodes, where it says so.
    pub product: Option<ProductPattern>,
    /// How they are shared.
    pub strategy: Strategy,
    /// Its nodes by name.
    pub nodes: Vec<String>,
    /// Its nodes by label.
    pub selector: Option<LabelSelector>,
    /// How each GPU, or each MIG device, is cut into shares.
    pub sharing: Option<Sharing>,
    /// How its GPUs are partitioned.
    pub mig: Option<Mig>,
    /// `distributed` or `packed`.
    pub allocation: Option<String>,
    /// Where it was read.
    pub location: Location,
}

/// How a GPU or a MIG device is cut into shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The number of shares, two or more.
    pub replicas: u32,
    /// Whether the shares' resource is renamed.
    pub rename: bool,
    /// Whether more than one share for a container is refused; `None` leaves it to the device plugin.
    pub fail_above_one: Option<bool>,
}

/// How GPUs are partitioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mig {
    /// How the device plugin names MIG devices.
    pub strategy: MigStrategy,
    /// Which GPUs hold which devices; never empty.
    pub layouts: Vec<Layout>,
}

/// GPUs of a node with the same MIG devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Their indices; `None`: all.
    pub indices: Option<Vec<u32>>,
    /// The MIG devices on each; none: MIG is off.
    pub devices: Vec<(MigProfile, u64)>,
}

/// How the device plugin names MIG devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigStrategy {
    /// It does not: a partitioned GPU is a GPU.
    None,
    /// `nvidia.com/gpu`.
    Single,
    /// `nvidia.com/mig-<profile>`.
    Mixed,
}

impl MigStrategy {
    /// Every strategy.
    pub const ALL: [MigStrategy; 3] = [MigStrategy::None, MigStrategy::Single, MigStrategy::Mixed];

    /// The name in NVIDIA's files (k8s-device-plugin `api/config/v1/consts.go`).
    pub fn as_str(self) -> &'static str {
        match self {
            MigStrategy::None => "none",
            MigStrategy::Single => "single",
            MigStrategy::Mixed => "mixed",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        MigStrategy::ALL.into_iter().find(|strategy| strategy.as_str() == name)
    }
}

impl Plan {
    /// The configuration that nodes without a label get.
    pub fn default_configuration(&self) -> &str {
        self.default.as_deref().unwrap_or(UNSHARED)
    }
}

impl Pool {
    /// What the device plugin's `flags.migStrategy` is on its nodes.
    pub fn mig_strategy(&self) -> MigStrategy {
        self.mig.as_ref().map_or(MigStrategy::None, |mig| mig.strategy)
    }

    /// The resources that the device plugin finds on its nodes, before any of them is cut into shares.
    pub fn resources(&self) -> Vec<GpuResource> {
        let Some(mig) = self.mig.as_ref().filter(|mig| mig.strategy == MigStrategy::Mixed) else {
            return vec![GpuResource::Gpu];
        };
        let mut found: Vec<GpuResource> = mig
            .layouts
            .iter()
            .flat_map(|layout| &layout.devices)
            .map(|(profile, _)| GpuResource::Mig(*profile))
            .collect();
        if mig.layouts.iter().any(|layout| layout.devices.is_empty()) {
            found.push(GpuResource::Gpu);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The resources that pods can ask its nodes for.
    pub fn offered(&self) -> Vec<GpuResource> {
        let renamed = self.sharing.is_some_and(|sharing| sharing.rename);
        let shared = |resource| match resource {
            GpuResource::Gpu if renamed => GpuResource::GpuShared,
            GpuResource::Mig(profile) if renamed => GpuResource::MigShared(profile),
            other => other,
        };
        self.resources().into_iter().map(shared).collect()
    }
}
