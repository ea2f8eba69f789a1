//! The live cluster: what is watched, what is written, and the certificates that are kept there.
//!
//! Objects are reduced to what the inventory needs while they are parsed, so that a list of 150,000
//! pods is never in memory as a whole. One task writes the state; requests read what it published
//! last.

pub mod api;
pub mod bindings;
pub mod ca_bundle;
pub mod ca_secret;
pub mod compliance_scanner;
pub mod events;
pub mod evictions;
pub mod kind;
pub mod lease;
pub mod managed;
pub mod periodic_tasks;
pub mod policies;
pub mod snapshot;
pub mod status;
pub mod watch;
pub mod watches;
pub mod writer;
