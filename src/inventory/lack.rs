//! Why a node does not do, in words that fit into `kubectl describe pod`.

use std::fmt;

use super::offer::Pause;
use crate::gpu::{GpuResource, MemoryLimit, MiB, MigProfile, Strategy};

/// Why a node can not hold a pod.
///
/// kube-scheduler counts equal texts ("3 no free mig-1g.10gb"), so these name no node and as few numbers as will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The node is not known (yet).
    UnknownNode,
    /// The whole node is paused.
    Paused(Pause),
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

impl Lack {
    /// Whether it would help if other pods left the node.
    pub fn eviction_helps(&self) -> bool {
        matches!(
            self,
            Lack::Taken { .. } | Lack::SharesPerGpu { .. } | Lack::OtherTenant | Lack::DeclaredMemory { .. }
        )
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::UnknownNode => f.write_str("not known to apportion yet"),
            Lack::Paused(pause) => write!(f, "{pause}"),
            Lack::NoOffer(resource) => write!(f, "no {}", resource.short_name()),
            Lack::Doubtful(resource, why) => write!(f, "{} not usable: {why}", resource.short_name()),
            Lack::Delegated(resource, why) => write!(f, "{} served by DRA: {why}", resource.short_name()),
            Lack::Strategy(resource, Strategy::Exclusive) => {
                write!(f, "{} is a whole GPU, not a share", resource.short_name())
            }
            Lack::Strategy(resource, Strategy::Mig) => write!(f, "{} is a MIG device", resource.short_name()),
            Lack::Strategy(resource, strategy) => write!(f, "{} is shared by {strategy}", resource.short_name()),
            Lack::Profile(profile) => write!(f, "MIG profile {profile} not allowed"),
            Lack::Product(_) => f.write_str("GPU product not allowed"),
            Lack::Memory { has: Some(has), needs } => write!(f, "{has} GPU memory a share, {needs} needed"),
            Lack::Memory { has: None, needs } => write!(f, "GPU memory unknown, {needs} needed"),
            Lack::TooSmall { resource, total, needs } => {
                write!(f, "{total} {} in all, {needs} needed", resource.short_name())
            }
            Lack::Taken {
                resource, free, total, ..
            } => {
                write!(f, "{free} of {total} {} free", resource.short_name())
            }
            Lack::SharesPerGpu {
                taken,
                most,
                devices,
                needs,
            } => {
                let s = if *devices == 1 { "" } else { "s" };
                write!(f, "{taken} of {most} shares of {devices} GPU{s} taken, {needs} needed")
            }
            Lack::OtherTenant => f.write_str("GPUs shared with another tenant"),
            Lack::DeclaredMemory {
                limit: MemoryLimit::PerGpu,
                what,
                has,
            } => write!(f, "shares that may meet on one GPU would declare {what} of its {has}"),
            Lack::DeclaredMemory { what, has, .. } => write!(f, "{what} of {has} GPU memory would be declared"),
        }
    }
}
