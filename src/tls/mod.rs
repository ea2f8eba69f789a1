//! What a TLS listener shows and asks for: its certificate, where that comes from, and which clients it believes.
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
