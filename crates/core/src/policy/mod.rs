//! Policies: which pods may share GPUs, and how.
//!
//! Documents become [`Policy`] values that are valid, or [`Finding`](crate::diagnostics::Finding)s that say where and why not.

pub mod document;
pub mod governance;
pub mod guarantees;
pub mod isolation;
pub mod limits;
pub mod model;
pub mod parse;
mod parse_limits;
pub mod rule;
pub mod set;

pub use guarantees::{Guarantees, Tenant};
pub use limits::{Limits, MemoryLimit};
pub use model::{Mode, Policy, PolicyName};
pub use rule::SharingRule;
pub use set::{Governed, PolicySet};
