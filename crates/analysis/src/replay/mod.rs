//! Replays a cluster's pods under other policies: what each pod would get, and whether all still
//! fit.
//!
//! [`replay`] returns a [`Report`], which `replay --output json` prints. Nothing on the cluster
//! changes and no scheduler is involved: nodes are filtered and scored as the extender does it.

mod changes;
mod original_pod;
pub mod report;
mod simulation;

pub use report::Report;
pub use simulation::{ReplayError, replay};
