//! Policies: which pods may share GPUs, and how.
//!
//! Documents become valid [`Policy`] values, or [`Finding`](crate::diagnostics::Finding)s that say
//! what is wrong where.

pub mod document;
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
pub use set::{EXEMPT_NAMESPACES, Governed, OnUnknown, PolicySet, is_exempt};
