//! Integration tests, in one binary so that they link once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    unreachable_pub,
    reason = "a test that can not go on should stop"
)]

mod behind;
mod bind;
mod change_table;
mod command;
mod crd_cases;
mod decision_table;
mod delegation_table;
mod drain;
mod evictions;
mod explain;
mod extender_table;
mod fixtures;
mod generate;
mod governance_table;
mod isolation_table;
mod lease;
mod limits_oracle;
mod limits_properties;
mod limits_table;
mod lint;
mod lint_nvidia;
mod managed;
mod map;
mod mig;
mod mig_tables;
mod node_groups;
mod oracle;
mod patience;
mod plugin;
mod policy_tests;
mod preempt;
mod properties;
mod recorded;
mod render;
mod replay;
mod rewrite_table;
mod robustness;
mod rollover;
mod rows;
mod serve;
mod serving;
mod simulation;
mod stand;
mod tls;
mod tree;
