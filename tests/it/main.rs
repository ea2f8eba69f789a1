//! Integration tests, in one binary so that they link once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can not go on should stop"
)]

mod command;
mod drain;
mod explain;
mod layering;
mod lint;
mod patience;
mod serve;
mod serving;
mod stand;
mod tls;
