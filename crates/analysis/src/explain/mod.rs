//! Explains what becomes of a pod: who governs it, what was considered, what changes, where it
//! fits.
//!
//! [`Explainer`] answers for one [`Workload`](crate::workload::Workload) at a time; [`report`] is
//! the answer, which `explain --output json` prints.

pub mod diff;
pub mod explainer;
pub mod governance;
pub mod node_fit;
pub mod report;

pub use explainer::{ExplainError, Explainer};
pub use report::Report;
