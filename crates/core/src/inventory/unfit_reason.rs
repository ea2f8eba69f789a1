//! Why a node does not do, in words that fit into `kubectl describe pod`.

use std::fmt;

use super::offer::ReconfigurationState;
use crate::gpu::{GpuResource, Strategy};
use crate::policy::MemoryLimit;
use apportion_mig::memory::MiB;
use apportion_mig::profile::MigProfile;

/// Why a node can not hold a pod.
///
/// kube-scheduler counts equal texts ("3 no free mig-1g.10gb"), so these name no node and as few numbers as will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitReason {
    /// The node is not known (yet).
    UnknownNode,
    /// The whole node is paused.
    Paused(ReconfigurationState),
    /// Nothing under this resource name.
    NoOffer(GpuResource),
    /// The resource is there, and its labels leave open what it is.
    Doubtful(GpuResource, &'static str),
    /// No device plugin gives it here, and DRA, which does, is not to be left the choice.
    Delegated(GpuResource, &'static str),
    /// Shared in a way that the policy does not list.
    Strategy(GpuResource, Strategy),
    /// A MIG profile that the policy does not list.
    Profile(MigProfile),
    /// A product that the policy does not list.
    Product(GpuResource),
    /// A share has too little memory.
    Memory {
        /// What a share has; `None` where no label says.
        has: Option<MiB>,
        /// What the pod declares.
        needs: MiB,
    },
    /// The node never has so many.
    TooSmall {
        /// The resource.
        resource: GpuResource,
        /// What the node has in all.
        total: u64,
        /// What the pod asks for.
        needs: u64,
    },
    /// The node has so many, and they are taken.
    Taken {
        /// The resource.
        resource: GpuResource,
        /// What is free.
        free: u64,
        /// What the node has in all.
        total: u64,
        /// What the pod asks for.
        needs: u64,
    },
    /// More shares of each GPU than the pod or a neighbour was promised at most.
    SharesPerGpu {
        /// Shares that are taken.
        taken: u64,
        /// Shares that may be, of all GPUs together.
        most: u64,
        /// The GPUs, or MIG devices.
        devices: u64,
        /// What the pod asks for.
        needs: u64,
    },
    /// Tenants are to be apart, and another one is there.
    OtherTenant,
    /// Declared memory would not fit.
    DeclaredMemory {
        /// What it is held against.
        limit: MemoryLimit,
        /// What would be declared.
        what: MiB,
        /// What there is.
        has: MiB,
    },
}

/// What kind of lack it is, without numbers: for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnfitReasonKind {
    /// The node is not known.
    Unknown,
    /// The node, or the resource on it, is offered to nobody for now.
    Unusable,
    /// The node has nothing that the policy allows, or not enough of it.
    Unsuitable,
    /// A share has too little memory.
    Memory,
    /// All that is free is too few.
    Taken,
    /// More shares of each GPU than somebody was promised.
    SharesPerGpu,
    /// Another tenant is there.
    OtherTenant,
    /// Declared memory would not fit.
    DeclaredMemory,
}

impl UnfitReasonKind {
    /// Every kind, in the order of [`UnfitReasonKind::index`].
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

    /// Its place among all.
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
    /// What kind it is.
    pub fn kind(&self) -> UnfitReasonKind {
        match self {
            UnfitReason::UnknownNode => UnfitReasonKind::Unknown,
            UnfitReason::Paused(_) | UnfitReason::Doubtful(..) => UnfitReasonKind::Unusable,
            UnfitReason::NoOffer(_)
            | UnfitReason::Delegated(..)
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

    /// Whether it would help if other pods left the node.
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
            UnfitReason::Paused(pause) => write!(f, "{pause}"),
            UnfitReason::NoOffer(resource) => write!(f, "no {}", resource.short_name()),
            UnfitReason::Doubtful(resource, why) => write!(f, "{} not usable: {why}", resource.short_name()),
            UnfitReason::Delegated(resource, why) => write!(f, "{} served by DRA: {why}", resource.short_name()),
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
                most,
                devices,
                needs,
            } => {
                let s = if *devices == 1 { "" } else { "s" };
                write!(f, "{taken} of {most} shares of {devices} GPU{s} taken, {needs} needed")
            }
            UnfitReason::OtherTenant => f.write_str("GPUs shared with another tenant"),
            UnfitReason::DeclaredMemory {
                limit: MemoryLimit::PerGpu,
                what,
                has,
            } => write!(f, "shares that may meet on one GPU would declare {what} of its {has}"),
            UnfitReason::DeclaredMemory { what, has, .. } => write!(f, "{what} of {has} GPU memory would be declared"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lack_has_its_words_its_kind_and_whether_an_eviction_helps() {
        let (gpu, shared) = (GpuResource::Gpu, GpuResource::GpuShared);
        let per_gpu = |devices| UnfitReason::SharesPerGpu {
            taken: 7,
            most: 8,
            devices,
            needs: 2,
        };
        let declared = |limit| UnfitReason::DeclaredMemory {
            limit,
            what: MiB(16 << 10),
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
        for (unfit_reason, words, kind, eviction_helps) in [
            (UnfitReason::UnknownNode, "not known to apportion yet", "unknown", false),
            (
                UnfitReason::Paused(ReconfigurationState::DevicePlugin),
                "paused for a MIG change",
                "unusable",
                false,
            ),
            (
                UnfitReason::Paused(ReconfigurationState::MigConfig("failed".into())),
                "MIG reconfiguration failed",
                "unusable",
                false,
            ),
            (
                UnfitReason::Doubtful(gpu, "no GPU labels"),
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
            assert_eq!(shown, (words.to_owned(), kind, eviction_helps), "{unfit_reason:?}");
        }
    }

    #[test]
    fn kinds_are_found_by_their_index() {
        for (at, kind) in UnfitReasonKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), at, "{kind:?}");
        }
    }
}
