//! A valid plan.

use crate::file_keys::mig_parted;
use apportion_core::diagnostics::Location;
use apportion_core::gpu::{GpuResource, Strategy};
use apportion_core::k8s::LabelSelector;
use apportion_mig::product::ProductPattern;
use apportion_mig::profile::MigProfile;

/// The `kind` of a plan.
pub const KIND: &str = "GpuSharingPlan";

/// The default configuration if the plan names none: whole GPUs, as without a configuration, but
/// written out.
pub const UNSHARED: &str = "unshared";
/// Names of configurations that exist in addition to the pools'. Pools cannot use them.
pub const RESERVED: [&str; 3] = [mig_parted::ALL_DISABLED, "all-enabled", UNSHARED];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub name: String,
    /// The namespace of the GPU Operator's release, from which its pods can mount a `ConfigMap`.
    pub operator_namespace: String,
    /// The operator's `mig.strategy`, if all pools are compatible with it; `None`: each pool sets
    /// its own.
    pub operator_mig_strategy: Option<MigStrategy>,
    /// The name of the device plugin's `ConfigMap`.
    pub config_map: String,
    /// The pool whose configuration applies to nodes without a label.
    pub default: Option<String>,
    /// Environment variables of the device plugin on every node.
    pub plugin_environment: Vec<(&'static str, String)>,
    pub scheduler: String,
    /// The namespace of the scheduler's Lease.
    pub scheduler_namespace: String,
    /// Never empty.
    pub pools: Vec<Pool>,
}

/// Nodes whose GPUs are shared in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub product: Option<ProductPattern>,
    pub strategy: Strategy,
    pub nodes: Vec<String>,
    pub selector: Option<LabelSelector>,
    /// For time-slicing and MPS.
    pub sharing: Option<Sharing>,
    pub mig: Option<Mig>,
    /// `distributed` or `packed`; `None`: the device plugin's default.
    pub allocation_policy: Option<String>,
    /// The location of the pool's name.
    pub location: Location,
}

/// How each GPU or MIG device is divided into shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Two or more.
    pub replicas: u32,
    /// Whether `.shared` is added to the resource name.
    pub rename: bool,
    /// Whether the plugin rejects containers that request more than one share; `None`: the device
    /// plugin's default.
    pub fail_requests_greater_than_one: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mig {
    pub strategy: MigStrategy,
    /// Never empty.
    pub layouts: Vec<Layout>,
}

/// GPUs of a node with the same MIG devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// GPU indices; `None`: all GPUs.
    pub indices: Option<Vec<u32>>,
    /// The MIG devices on each GPU; empty: MIG is disabled.
    pub devices: Vec<(MigProfile, u64)>,
}

/// The resource name of MIG devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigStrategy {
    /// MIG devices are not offered.
    None,
    /// `nvidia.com/gpu`.
    Single,
    /// `nvidia.com/mig-<profile>`.
    Mixed,
}

impl MigStrategy {
    pub const ALL: [MigStrategy; 3] = [MigStrategy::None, MigStrategy::Single, MigStrategy::Mixed];

    /// The value of `migStrategy` (k8s-device-plugin `api/config/v1/consts.go`).
    pub fn as_str(self) -> &'static str {
        match self {
            MigStrategy::None => "none",
            MigStrategy::Single => "single",
            MigStrategy::Mixed => "mixed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        MigStrategy::ALL.into_iter().find(|strategy| strategy.as_str() == name)
    }
}

impl Plan {
    /// The configuration of nodes without a label.
    pub fn default_configuration(&self) -> &str {
        self.default.as_deref().unwrap_or(UNSHARED)
    }
}

impl Pool {
    /// The device plugin's `flags.migStrategy`.
    pub fn mig_strategy(&self) -> MigStrategy {
        self.mig.as_ref().map_or(MigStrategy::None, |mig| mig.strategy)
    }

    /// The resources of the pool's nodes before sharing.
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

    /// The resources that pods request: those after sharing.
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
