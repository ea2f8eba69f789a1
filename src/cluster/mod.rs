//! A live cluster: what is watched, who keeps the state up to date with it, and the certificates that are kept there.
//!
//! Objects are reduced to what the inventory reads while they are parsed, so that a list of 150,000 pods never stands in memory
//! whole. One task writes; requests take what it last published.

pub mod allowances;
pub mod bindings;
pub mod ca_bundle;
pub mod ca_secret;
mod changes;
pub mod client;
pub mod desk;
pub mod evictions;
pub mod feed;
pub mod kind;
pub mod lease;
pub mod look;
pub mod managed;
pub mod notice;
pub mod patrol;
pub mod policies;
pub mod refusal;
pub mod rounds;
pub mod status;
pub mod watch;
pub mod writer;
