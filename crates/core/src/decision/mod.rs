//! The decision: what a governed pod may ask for, and why.
//!
//! [`decide()`] takes values and returns values. It makes [`Candidate`]s - ways to serve the pod under each rule of its policy -
//! and takes the first that the pod already is, else the first that is free, else the first that exists, else the first.

pub mod breach;
pub mod candidate;
pub mod decide;
pub mod isolation;
pub mod node_group;
pub mod outcome;
pub mod reach;
pub mod scheme;
pub mod target;
pub mod wording;

pub use breach::{Breach, BreachKind, breach};
pub use candidate::Candidate;
pub use decide::{Question, decide};
pub use outcome::{Considered, Decision, Denial, Grant, Target, Verdict};
pub use scheme::Scheme;
