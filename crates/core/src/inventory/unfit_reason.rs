//! Why a node cannot hold a pod, in words short enough for scheduler events.

use std::fmt;

use super::offer::ReconfigurationState;
use crate::diagnostics::counted;
use crate::gpu::{GpuResource, Strategy};
use crate::policy::MemoryLimit;
use apportion_mig::memory::MiB;
use apportion_mig::profile::MigProfile;

/// Why a node cannot hold a pod.
///
/// kube-scheduler groups nodes by equal text ("3 0 of 7 mig-1g.10gb free"), so the texts name no node
/// and contain few numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitReason {
    /// The node is not in the inventory (yet).
    UnknownNode,
    /// The GPUs of the node are being reconfigured.
    Reconfiguring(ReconfigurationState),
    /// The node offers nothing under this resource name.
    NoOffer(GpuResource),
    /// The node advertises the resource, but its labels leave open what it is.
    Unusable(GpuResource, &'static str),
    /// DRA serves the resource on this node, and the policy cannot be checked there.
    ServedByDra(GpuResource, &'static str),
    /// Shared by a strategy that the policy does not list.
    Strategy(GpuResource, Strategy),
    /// A MIG profile that the policy does not list.
    Profile(MigProfile),
    /// A product that the policy does not list.
    Product(GpuResource),
    /// A share has too little memory.
    Memory {
        /// Memory of a share; `None` if no label says.
        has: Option<MiB>,
        /// Memory that the pod declares for each share.
        needs: MiB,
    },
    /// The pod requests more than the whole node has.
    TooSmall {
        resource: GpuResource,
        total: u64,
        needs: u64,
    },
    /// The node has enough shares, but too few are free.
    Taken {
        resource: GpuResource,
        free: u64,
        total: u64,
        needs: u64,
    },
    /// The pod would exceed its own limit of shares per GPU, or that of a pod on the node.
    SharesPerGpu {
        taken: u64,
        /// Shares that may be taken, on all devices together.
        max: u64,
        /// GPUs, or MIG devices.
        devices: u64,
        needs: u64,
    },
    /// A policy keeps tenants apart, and another tenant is on the node.
    OtherTenant,
    /// Declared memory would exceed a memory limit.
    DeclaredMemory {
        limit: MemoryLimit,
        /// Memory that would be declared, including the pod's.
        declared: MiB,
        /// Memory that there is.
        has: MiB,
    },
}

/// The kind of a reason, without details: the label value in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnfitReasonKind {
    /// The node is not in the inventory.
    Unknown,
    /// The node, or the resource on it, cannot be used for now.
    Unusable,
    /// The node has nothing that the policy allows, or too little of it.
    Unsuitable,
    /// A share has too little memory.
    Memory,
    /// Too few shares are free.
    Taken,
    /// A limit of shares per GPU would be exceeded.
    SharesPerGpu,
    /// Another tenant is on the node.
    OtherTenant,
    /// A memory limit would be exceeded.
    DeclaredMemory,
}

impl UnfitReasonKind {
    /// In the order of [`UnfitReasonKind::index`].
    pub const ALL: [UnfitReasonKind; 8] = [
        UnfitReasonKind::Unknown,
        UnfitReasonKind::Unusable,
        UnfitReasonKind::Unsuitable,
        UnfitReasonKind::Memory,
        UnfitReasonKind::Taken,
        UnfitReasonKind::SharesPerGpu,
        UnfitReasonKind::OtherTenant,
        UnfitReasonKind::DeclaredMemory,
    ];

    /// The position in [`UnfitReasonKind::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            UnfitReasonKind::Unknown => "unknown",
            UnfitReasonKind::Unusable => "unusable",
            UnfitReasonKind::Unsuitable => "unsuitable",
            UnfitReasonKind::Memory => "memory",
            UnfitReasonKind::Taken => "taken",
            UnfitReasonKind::SharesPerGpu => "shares_per_gpu",
            UnfitReasonKind::OtherTenant => "other_tenant",
            UnfitReasonKind::DeclaredMemory => "declared_memory",
        }
    }
}

impl UnfitReason {
    pub fn kind(&self) -> UnfitReasonKind {
        match self {
            UnfitReason::UnknownNode => UnfitReasonKind::Unknown,
            UnfitReason::Reconfiguring(_) | UnfitReason::Unusable(..) => UnfitReasonKind::Unusable,
            UnfitReason::NoOffer(_)
            | UnfitReason::ServedByDra(..)
            | UnfitReason::Strategy(..)
            | UnfitReason::Profile(_)
            | UnfitReason::Product(_)
            | UnfitReason::TooSmall { .. } => UnfitReasonKind::Unsuitable,
            UnfitReason::Memory { .. } => UnfitReasonKind::Memory,
            UnfitReason::Taken { .. } => UnfitReasonKind::Taken,
            UnfitReason::SharesPerGpu { .. } => UnfitReasonKind::SharesPerGpu,
            UnfitReason::OtherTenant => UnfitReasonKind::OtherTenant,
            UnfitReason::DeclaredMemory { .. } => UnfitReasonKind::DeclaredMemory,
        }
    }

    /// Whether evicting other pods from the node may help.
    pub fn eviction_helps(&self) -> bool {
        matches!(
            self,
            UnfitReason::Taken { .. }
                | UnfitReason::SharesPerGpu { .. }
                | UnfitReason::OtherTenant
                | UnfitReason::DeclaredMemory { .. }
        )
    }
}

impl fmt::Display for UnfitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnfitReason::UnknownNode => f.write_str("not known to apportion yet"),
            UnfitReason::Reconfiguring(state) => write!(f, "{state}"),
            UnfitReason::NoOffer(resource) => write!(f, "no {}", resource.short_name()),
            UnfitReason::Unusable(resource, why) => write!(f, "{} not usable: {why}", resource.short_name()),
            UnfitReason::ServedByDra(resource, why) => write!(f, "{} served by DRA: {why}", resource.short_name()),
            UnfitReason::Strategy(resource, Strategy::Exclusive) => {
                write!(f, "{} is a whole GPU, not a share", resource.short_name())
            }
            UnfitReason::Strategy(resource, Strategy::Mig) => write!(f, "{} is a MIG device", resource.short_name()),
            UnfitReason::Strategy(resource, strategy) => write!(f, "{} is shared by {strategy}", resource.short_name()),
            UnfitReason::Profile(profile) => write!(f, "MIG profile {profile} not allowed"),
            UnfitReason::Product(_) => f.write_str("GPU product not allowed"),
            UnfitReason::Memory { has: Some(has), needs } => write!(f, "{has} GPU memory a share, {needs} needed"),
            UnfitReason::Memory { has: None, needs } => write!(f, "GPU memory unknown, {needs} needed"),
            UnfitReason::TooSmall { resource, total, needs } => {
                write!(f, "{total} {} in all, {needs} needed", resource.short_name())
            }
            UnfitReason::Taken {
                resource, free, total, ..
            } => {
                write!(f, "{free} of {total} {} free", resource.short_name())
            }
            UnfitReason::SharesPerGpu {
                taken,
                max,
                devices,
                needs,
            } => {
                let devices = usize::try_from(*devices).unwrap_or(usize::MAX);
                write!(
                    f,
                    "{taken} of {max} shares of {} taken, {needs} needed",
                    counted(devices, "GPU")
                )
            }
            UnfitReason::OtherTenant => f.write_str("GPUs shared with another tenant"),
            UnfitReason::DeclaredMemory {
                limit: MemoryLimit::PerGpu,
                declared,
                has,
            } => write!(
                f,
                "shares that may meet on one GPU would declare {declared} of its {has}"
            ),
            UnfitReason::DeclaredMemory { declared, has, .. } => {
                write!(f, "{declared} of {has} GPU memory would be declared")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_text_a_kind_and_an_answer_whether_eviction_helps() {
        let (gpu, shared) = (GpuResource::Gpu, GpuResource::GpuShared);
        let per_gpu = |devices| UnfitReason::SharesPerGpu {
            taken: 7,
            max: 8,
            devices,
            needs: 2,
        };
        let declared = |limit| UnfitReason::DeclaredMemory {
            limit,
            declared: MiB(16 << 10),
            has: MiB(15_360),
        };
        let taken = UnfitReason::Taken {
            resource: shared,
            free: 1,
            total: 16,
            needs: 2,
        };
        let small = UnfitReason::TooSmall {
            resource: gpu,
            total: 4,
            needs: 8,
        };
        let memory = |has| UnfitReason::Memory { has, needs: MiB(4096) };
        for (unfit_reason, text, kind, eviction_helps) in [
            (UnfitReason::UnknownNode, "not known to apportion yet", "unknown", false),
            (
                UnfitReason::Reconfiguring(ReconfigurationState::DevicePlugin),
                "paused for a MIG change",
                "unusable",
                false,
            ),
            (
                UnfitReason::Reconfiguring(ReconfigurationState::MigConfig("failed".into())),
                "MIG reconfiguration failed",
                "unusable",
                false,
            ),
            (
                UnfitReason::Unusable(gpu, "no GPU labels"),
                "gpu not usable: no GPU labels",
                "unusable",
                false,
            ),
            (UnfitReason::NoOffer(shared), "no gpu.shared", "unsuitable", false),
            (
                UnfitReason::Strategy(gpu, Strategy::Exclusive),
                "gpu is a whole GPU, not a share",
                "unsuitable",
                false,
            ),
            (
                UnfitReason::Strategy(gpu, Strategy::Mig),
                "gpu is a MIG device",
                "unsuitable",
                false,
            ),
            (
                UnfitReason::Strategy(shared, Strategy::Mps),
                "gpu.shared is shared by mps",
                "unsuitable",
                false,
            ),
            (
                UnfitReason::Profile("1g.10gb".parse().unwrap()),
                "MIG profile 1g.10gb not allowed",
                "unsuitable",
                false,
            ),
            (
                UnfitReason::Product(gpu),
                "GPU product not allowed",
                "unsuitable",
                false,
            ),
            (small, "4 gpu in all, 8 needed", "unsuitable", false),
            (
                memory(Some(MiB(3840))),
                "3840Mi GPU memory a share, 4Gi needed",
                "memory",
                false,
            ),
            (memory(None), "GPU memory unknown, 4Gi needed", "memory", false),
            (taken, "1 of 16 gpu.shared free", "taken", true),
            (
                per_gpu(4),
                "7 of 8 shares of 4 GPUs taken, 2 needed",
                "shares_per_gpu",
                true,
            ),
            (
                per_gpu(1),
                "7 of 8 shares of 1 GPU taken, 2 needed",
                "shares_per_gpu",
                true,
            ),
            (
                UnfitReason::OtherTenant,
                "GPUs shared with another tenant",
                "other_tenant",
                true,
            ),
            (
                declared(MemoryLimit::Total),
                "16Gi of 15Gi GPU memory would be declared",
                "declared_memory",
                true,
            ),
            (
                declared(MemoryLimit::PerGpu),
                "shares that may meet on one GPU would declare 16Gi of its 15Gi",
                "declared_memory",
                true,
            ),
        ] {
            let shown = (
                unfit_reason.to_string(),
                unfit_reason.kind().as_str(),
                unfit_reason.eviction_helps(),
            );
            assert_eq!(shown, (text.to_owned(), kind, eviction_helps), "{unfit_reason:?}");
        }
    }

    #[test]
    fn the_index_of_a_kind_is_its_position_in_all() {
        for (at, kind) in UnfitReasonKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), at, "{kind:?}");
        }
    }
}
