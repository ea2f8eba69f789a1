//! What a policy promises its pods of their neighbours, beyond what Kubernetes counts.

use std::fmt;
use std::num::NonZeroU32;

use apportion_mig::memory::MiB;

/// Limits of one policy. They bind both ways: a pod is not placed where its own would be broken, nor where those of a pod that is there
/// would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limits {
    /// At most so many shares for each physical GPU of a node, however many replicas the plugin offers. On average: the kubelet chooses
    /// the GPU.
    pub shares_per_gpu: Option<NonZeroU32>,
    /// What the memory that pods declare is held against where nothing divides it: under time-slicing.
    pub memory: MemoryLimit,
    /// What a pod counts with that declares none, each share.
    pub undeclared_memory: MiB,
    /// Whether pods of other tenants are kept off shared GPUs of the same node. MIG devices are exempt: hardware keeps them apart.
    pub apart: bool,
}

/// What the declared memory of time-sliced shares is held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryLimit {
    /// Nothing but the memory of one GPU, each share by itself.
    #[default]
    Unchecked,
    /// The sum on a node against the memory of its GPUs. Two large shares can still meet on one GPU, since the kubelet chooses it.
    Total,
    /// The largest shares that can meet on one GPU against its memory: safe whichever GPU the kubelet chooses.
    PerGpu,
}

impl MemoryLimit {
    /// Every limit.
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
    /// Whether nothing is promised.
    pub fn is_empty(&self) -> bool {
        self.shares_per_gpu.is_none() && self.memory == MemoryLimit::Unchecked && !self.apart
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(most) = self.shares_per_gpu {
            parts.push(format!("at most {most} shares a GPU"));
        }
        match self.memory {
            MemoryLimit::Unchecked => {}
            MemoryLimit::Total => parts.push("declared memory within that of the node's GPUs".to_owned()),
            MemoryLimit::PerGpu => parts.push("declared memory within that of one GPU".to_owned()),
        }
        if self.memory != MemoryLimit::Unchecked && self.undeclared_memory > MiB(0) {
            parts.push(format!("{} where none is declared", self.undeclared_memory));
        }
        if self.apart {
            parts.push("tenants apart".to_owned());
        }
        if parts.is_empty() {
            return f.write_str("no limits");
        }
        f.write_str(&parts.join("; "))
    }
}
