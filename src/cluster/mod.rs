//! A live cluster: what is watched, who keeps the state up to date with it, and the certificates that are kept there.
//!
//! Objects are reduced to what the inventory reads while they are parsed, so that a list of 150,000 pods never stands in memory
//! whole. One task writes; requests take what it last published.

pub mod api_error;
pub mod bindings;
pub mod ca_bundle;
pub mod ca_secret;
mod changes;
pub mod client;
pub mod compliance_scanner;
pub mod device_classes;
pub mod evictions;
pub mod kind;
pub mod lease;
pub mod managed;
pub mod notice;
pub mod periodic_tasks;
pub mod policies;
pub mod quotas;
pub mod snapshot;
pub mod status;
pub mod status_publisher;
pub mod watch;
pub mod watches;
pub mod writer;
