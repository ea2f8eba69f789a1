//! GPU resources, sharing strategies, and the GPU demand of pods.
//!
//! Only this module spells NVIDIA's resource names, label keys and annotations.

pub mod counts;
pub mod demand;
pub mod gpu_bypass;
pub mod names;
pub mod resource;
pub mod strategy;

pub use counts::Counts;
pub use demand::{ContainerDemand, PodDemand};
pub use gpu_bypass::{BypassKind, GpuBypass, gpu_bypasses};
pub use resource::GpuResource;
pub use strategy::Strategy;
