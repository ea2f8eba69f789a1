//! TLS of the listeners: the server certificate, where it comes from, and which client certificates
//! are accepted.
//!
//! Nothing here opens a socket or knows what is served behind it.

pub mod authority;
pub mod ca;
pub mod config;
pub mod files;
pub mod follower;
pub mod leaf;
pub mod lifetimes;
pub mod material;
pub mod resolver;
pub mod self_signed;
pub mod stored;
pub mod trust;
