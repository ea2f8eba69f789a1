//! What a governed pod may request, and why.
//!
//! [`decide()`] takes values and returns values. It builds the [`Candidate`]s, the ways to serve
//! the pod under each rule of its policy. It chooses the first that the pod already complies with,
//! otherwise the first that is free, otherwise the first that exists, otherwise the first.

pub mod candidate;
pub mod compliance;
pub mod container_rewrite;
pub mod decide;
pub mod isolation;
pub mod messages;
pub mod model;
pub mod node_group;
pub mod node_requirements;
pub mod violation;

pub use candidate::Candidate;
pub use compliance::find_violation;
pub use decide::{DecisionInput, decide};
pub use model::{CandidateStatus, CandidateSummary, ContainerRewrite, Decision, Denial, Grant, ResourceNaming};
pub use violation::{Violation, ViolationKind};
