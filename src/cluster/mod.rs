//! A live cluster: what is watched, and who keeps the state up to date with it.
//!
//! Objects are reduced to what the inventory reads while they are parsed, so that a list of 150,000 pods never stands in memory
//! whole. One task writes; requests take what it last published.

pub mod allowances;
pub mod client;
pub mod desk;
pub mod feed;
pub mod kind;
pub mod lease;
pub mod notice;
pub mod patrol;
pub mod policies;
pub mod status;
pub mod watch;
pub mod writer;
