//! Pods that are written to do harm.
//!
//! Any user of a cluster can write the pod that the webhook parses, before the API server has
//! validated it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first failure, and prints what it measured"
)]

mod cluster;
mod growth;
mod quotes;
