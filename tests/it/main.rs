//! Integration tests, in one binary so that they link once.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]
#![allow(clippy::too_many_lines, reason = "a table is as long as its rows")]

mod decision_table;
mod extender_table;
mod fixtures;
mod generate;
mod governance_table;
mod oracle;
mod properties;
mod recorded;
mod rewrite_table;
mod robustness;
mod rows;
mod tree;
