//! From a grant to a JSON Patch.
//!
//! Only what is to change is named: fields that we do not know are never read, so they can not be dropped or respelled. Two stages:
//! [`mod@edit`] says what changes, in our own words; [`mod@patch`] writes it as RFC 6902 for the document at hand.

pub mod annotation;
pub mod apply;
pub mod edit;
pub mod operations;

pub use annotation::{DecisionRecord, annotation};
pub use apply::{ApplyError, apply};
pub use edit::{Edit, edits};
pub use operations::{Operation, patch};
