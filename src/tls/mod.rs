//! What a TLS listener shows and asks for: its certificate, where that comes from, and which clients it believes.
//!
//! Nothing here opens a socket or knows what is served behind it.

pub mod config;
pub mod files;
pub mod follower;
pub mod material;
pub mod resolver;
pub mod self_signed;
