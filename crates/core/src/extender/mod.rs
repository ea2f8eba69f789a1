//! Answers the calls of kube-scheduler to its extender: filter, prioritize, preempt and bind.
//!
//! In-tree filters run first and enforce what a pod spec can express. The extender enforces the
//! limits that a pod spec cannot express.

pub mod bind;
mod context;
pub mod evict;
pub mod filter;
pub mod pod_query;
pub mod preempt;
pub mod prioritize;
mod shortlist;
pub mod victims;
pub mod wire;

pub use context::{ExtenderArgsError, ExtenderContext, NodeRef};
pub use filter::{AnswerSize, filter, filter_for};
pub use pod_query::{PodQuery, RejectReason};
pub use preempt::preempt;
pub use prioritize::prioritize;
