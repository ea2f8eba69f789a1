//! The vocabulary of GPUs: resources, profiles, products, strategies, and what a pod asks for.
//!
//! NVIDIA's names are written in this module and nowhere else.

pub mod catalog;
pub mod dcgm;
pub mod demand;
pub mod geometry;
pub mod instances;
pub mod limits;
pub mod memory;
pub mod mig_parted;
pub mod misfit;
pub mod names;
pub mod nvidia_files;
pub mod packing;
pub mod placement;
pub mod product;
pub mod profile;
pub mod replicas;
pub mod resource;
pub mod rule;
pub mod side_door;
pub mod strategy;

pub use demand::{ContainerDemand, Counts, Demand, PodDemand};
pub use limits::{Limits, MemoryLimit};
pub use memory::MiB;
pub use product::{Product, ProductLabel, ProductPattern};
pub use profile::MigProfile;
pub use resource::GpuResource;
pub use rule::SharingRule;
pub use side_door::{SideDoor, SideDoorKind, side_doors};
pub use strategy::Strategy;
