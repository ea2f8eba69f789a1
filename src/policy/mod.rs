//! Policies: which pods may share GPUs, and how.
//!
//! Documents become [`Policy`]s that can not be wrong, or [`Finding`]s that say where and why. Pure: texts come in with their
//! names; who reads files is somebody else.

pub mod document;
pub mod finding;
pub mod isolation;
mod limits;
pub mod model;
pub mod parse;
pub mod reader;
pub mod set;

pub use finding::{Finding, Location, Severity};
pub use model::{Mode, Policy, PolicyName};
pub use set::{Governed, PolicySet};
