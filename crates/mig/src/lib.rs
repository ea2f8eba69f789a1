//! MIG profiles of NVIDIA GPUs: which fit on one GPU together, and the fewest GPUs for a demand.
//!
//! [`model`] describes GPU models and finds them by name, and [`tables`] holds their data.
//! [`placement`] places instances on the memory slots of one GPU, [`fit`] explains why instances do
//! not fit, and [`alternatives`] finds what fits instead. [`packing`] finds the fewest GPUs for a
//! demand.
//!
//! ```
//! use apportion_mig::{find_model, parse_instances};
//!
//! let a100 = find_model("A100-80GB")?;
//! let requests: Vec<_> = parse_instances("2x3g.40gb,1g.10gb")?
//!     .into_iter()
//!     .filter_map(|spec| a100.request(&spec))
//!     .collect();
//! let reasons = a100.check(&requests).unwrap_err();
//! assert_eq!(
//!     reasons[0].to_string(),
//!     "together they need 9 memory slots, but the GPU has 8: 2 x 3g.40gb take 4 each, 1 x 1g.10gb take 1",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod alternatives;
pub mod fit;
pub mod instances;
pub mod lookup;
pub mod memory;
pub mod model;
pub mod packing;
pub mod placement;
pub mod product;
pub mod profile;
pub mod tables;

pub use fit::{Alternative, AlternativeKind, FitError, FitReport};
pub use instances::{InstanceSpec, ParseInstancesError, ProfileRef, parse as parse_instances};
pub use lookup::{FindModelError, find as find_model};
pub use memory::MiB;
pub use model::{Model, ProfileInfo};
pub use packing::Batch;
pub use placement::{Instance, InstanceRequest, Placement, PlacementError};
pub use product::{ParseProductError, Product, ProductLabel, ProductPattern};
pub use profile::{MigProfile, ParseProfileError};
pub use tables::MODELS;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
