//! Integration tests, in one binary so that they link once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    unreachable_pub,
    reason = "a test that cannot go on should stop"
)]

mod binding;
mod ca_rollover;
mod certificate_files;
mod client_timeouts;
mod command;
mod crd_cases;
mod decision_table;
mod dra_table;
mod evictions;
mod explain;
mod extender_table;
mod fixtures;
mod generators;
mod governance_table;
mod graceful_shutdown;
mod http;
mod isolation_table;
mod kubectl_plugin;
mod lease;
mod limits;
mod lint;
mod lint_nvidia;
mod malformed_input;
mod managed_certificates;
mod map;
mod mig;
mod mig_tables;
mod node_groups;
mod oracle;
mod patch_scope;
mod policy_tests;
mod preemption;
mod properties;
mod recorded;
mod render;
mod replay;
mod rewrite_table;
mod rows;
mod serve_process;
mod simulation;
mod stale_inventory;
mod test_server;
mod update_table;
