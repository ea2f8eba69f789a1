//! The vocabulary of GPUs: resources, strategies, and what a pod asks for.
//!
//! NVIDIA's resource names, label keys and annotations stand in this module and nowhere else.

pub mod demand;
pub mod memory;
pub mod names;
pub mod replicas;
pub mod resource;
pub mod side_door;
pub mod strategy;

pub use demand::{ContainerDemand, Counts, Demand, PodDemand};
pub use resource::GpuResource;
pub use side_door::{SideDoor, SideDoorKind, side_doors};
pub use strategy::Strategy;
