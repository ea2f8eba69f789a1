//! Integration tests, in one binary so that they link once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can not go on should stop"
)]

mod drain;
mod layering;
mod patience;
mod serve;
mod serving;
mod stand;
mod tls;
