//! The `apportion` program: HTTP and TLS servers, the live cluster, the state that requests read, and the command line.
//!
//! Decisions are in `apportion-core`; this crate does the input and output around them. ARCHITECTURE.md has the map.

pub mod cli;
pub mod cluster;
pub mod server;
pub mod service;
pub mod tls;
