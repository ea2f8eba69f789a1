//! MIG profiles of NVIDIA GPUs, and which of them fit on a GPU together.
//!
//! [`geometry`] has the tables, [`placement`] places profiles on the memory slices of one GPU, and [`packing`] finds the fewest
//! GPUs for a demand. The tables come from NVIDIA's MIG user guide, the vGPU documentation and the defaults of mig-parted and
//! the GPU Operator; each row names its source.

pub mod catalog;
pub mod geometry;
pub mod instances;
pub mod memory;
pub mod misfit;
pub mod packing;
pub mod placement;
pub mod product;
pub mod profile;

pub use memory::MiB;
pub use product::{Product, ProductLabel, ProductPattern};
pub use profile::MigProfile;
