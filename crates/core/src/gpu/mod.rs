//! The vocabulary of GPUs: resources, strategies, and what a pod asks for.
//!
//! NVIDIA's resource names, label keys and annotations stand in this module and nowhere else.

pub mod demand;
pub mod gpu_bypass;
pub mod memory;
pub mod names;
pub mod replicas;
pub mod resource;
pub mod strategy;

pub use demand::{ContainerDemand, Counts, Demand, PodDemand};
pub use gpu_bypass::{BypassKind, GpuBypass, gpu_bypasses};
pub use resource::GpuResource;
pub use strategy::Strategy;
