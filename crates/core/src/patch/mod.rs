//! From a grant to a JSON Patch.
//!
//! A patch names only what changes. Fields that Apportion does not know are never read, so they
//! cannot be dropped or reformatted. [`mod@edit`] decides what changes, and [`mod@operations`]
//! expresses it as RFC 6902 operations for the document at hand.

pub mod annotation;
pub mod edit;
pub mod operations;

pub use annotation::{DecisionRecord, decision_annotation};
pub use edit::{Edit, edits};
pub use json_patch::{Patch, PatchError, PatchOperation, patch as apply};
pub use operations::build_patch;
