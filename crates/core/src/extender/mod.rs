//! The scheduler extender's answers: which nodes can hold a pod, and which of them better.
//!
//! In-tree filters have run before, and what a pod spec can say they have held; the extender holds the rest.

mod asked;
pub mod bind;
pub mod evict;
pub mod filter;
pub mod preempt;
pub mod prioritize;
pub mod question;
mod shortlist;
mod survey;
pub mod victims;
pub mod wire;

pub use filter::{AnswerSize, filter, filter_for};
pub use preempt::preempt;
pub use prioritize::prioritize;
pub use question::{Ask, Context};
