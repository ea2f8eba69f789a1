//! The scheduler extender's answers: which nodes can hold a pod, and which of them better.
//!
//! In-tree filters have run before, and what a pod spec can say they have held; the extender holds the rest.

pub mod bind;
pub mod evict;
pub mod filter;
mod node_query;
pub mod pod_query;
pub mod preempt;
pub mod prioritize;
mod shortlist;
mod suitability_cache;
pub mod victims;
pub mod wire;

pub use filter::{AnswerSize, filter, filter_for};
pub use pod_query::{ExtenderContext, PodQuery};
pub use preempt::preempt;
pub use prioritize::prioritize;
