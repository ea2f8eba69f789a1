//! The limits that a policy sets on shared GPUs, beyond what Kubernetes counts.

use std::fmt;
use std::num::NonZeroU32;

use apportion_mig::memory::MiB;

/// The limits of one policy.
///
/// They bind both ways: a pod goes to no node where its own limits, or those of a pod that is
/// there, would be exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limits {
    /// The maximum number of shares of each physical GPU of a node, however many replicas the
    /// device plugin offers. An average over the GPUs, because the kubelet chooses the GPU.
    pub shares_per_gpu: Option<NonZeroU32>,
    /// How declared memory is checked under time-slicing, where nothing divides the memory.
    pub memory: MemoryLimit,
    /// The memory that each share counts with if its pod declares none.
    pub undeclared_memory: MiB,
    /// Whether pods of other tenants are kept off the shared GPUs of the same node. MIG devices are
    /// exempt, because hardware isolates them.
    pub tenants_apart: bool,
}

/// What the declared memory of time-sliced shares is compared with. Ordered from lax to strict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryLimit {
    /// Only each share by itself with the memory of one GPU.
    #[default]
    Unchecked,
    /// The sum on a node with the memory of all its GPUs. Two large shares may still meet on one
    /// GPU, because the kubelet chooses the GPU.
    Total,
    /// The largest shares that may meet on one GPU with its memory. Safe whichever GPU the kubelet
    /// chooses.
    PerGpu,
}

impl MemoryLimit {
    pub const ALL: [MemoryLimit; 3] = [MemoryLimit::Unchecked, MemoryLimit::Total, MemoryLimit::PerGpu];

    /// The name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            MemoryLimit::Unchecked => "Unchecked",
            MemoryLimit::Total => "Total",
            MemoryLimit::PerGpu => "PerGPU",
        }
    }
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.shares_per_gpu.is_none() && self.memory == MemoryLimit::Unchecked && !self.tenants_apart
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(max) = self.shares_per_gpu {
            parts.push(format!("at most {max} shares a GPU"));
        }
        match self.memory {
            MemoryLimit::Unchecked => {}
            MemoryLimit::Total => parts.push("declared memory within that of the node's GPUs".to_owned()),
            MemoryLimit::PerGpu => parts.push("declared memory within that of one GPU".to_owned()),
        }
        if self.memory != MemoryLimit::Unchecked && self.undeclared_memory > MiB(0) {
            parts.push(format!("{} where none is declared", self.undeclared_memory));
        }
        if self.tenants_apart {
            parts.push("tenants apart".to_owned());
        }
        if parts.is_empty() {
            return f.write_str("no limits");
        }
        f.write_str(&parts.join("; "))
    }
}
