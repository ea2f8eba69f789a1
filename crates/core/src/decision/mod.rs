//! The decision: what a governed pod may ask for, and why.
//!
//! [`decide()`] takes values and returns values. It makes [`Candidate`]s - ways to serve the pod under each rule of its policy -
//! and takes the first that the pod already is, else the first that is free, else the first that exists, else the first.

pub mod candidate;
pub mod decide;
pub mod isolation;
pub mod node_group;
pub mod outcome;
pub mod reach;
pub mod resource_naming;
pub mod target;
pub mod violation;
pub mod wording;

pub use candidate::Candidate;
pub use decide::{DecisionInput, decide};
pub use outcome::{CandidateVerdict, ConsideredOption, Decision, Denial, Grant, Target};
pub use resource_naming::ResourceNaming;
pub use violation::{Violation, ViolationKind, breach};
