//! Sharing plans: pools of nodes, each with a strategy, and the files that configure NVIDIA's
//! components accordingly.
//!
//! [`parse`] turns a `GpuSharingPlan` into a [`Plan`] that NVIDIA's components accept and apply, or
//! into findings. [`render()`] turns a plan into files. Neither reads or writes files.

mod check;
mod document;
mod fields;
pub mod mig_fit;
pub mod model;
mod parse;
pub mod policies;
mod pool;
pub mod render;

pub use model::{Plan, Pool, Sharing};
pub use parse::{is_plan, parse};
pub use render::{Rendered, render};
