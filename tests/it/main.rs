//! Integration tests, in one binary so that they link once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    unreachable_pub,
    reason = "a test that can not go on should stop"
)]

mod change_table;
mod command;
mod decision_table;
mod drain;
mod explain;
mod extender_table;
mod fixtures;
mod generate;
mod governance_table;
mod isolation_table;
mod layering;
mod lint;
mod managed;
mod map;
mod mig;
mod mig_tables;
mod oracle;
mod patience;
mod plugin;
mod policy_tests;
mod properties;
mod recorded;
mod replay;
mod rewrite_table;
mod robustness;
mod rollover;
mod rows;
mod serve;
mod serving;
mod stand;
mod tls;
mod tree;
