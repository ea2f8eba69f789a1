//! Analyses what policies do to the pods of a cluster: explains, maps, replays, tests and lints.
//!
//! Every analysis asks the webhook's own functions, so that its answer is the webhook's answer.
//! Nothing here reads files or talks to a cluster, and nothing prints: the command line does that.

pub mod dry_run;
pub mod explain;
pub mod lint;
pub mod map;
pub mod policy_test;
pub mod replay;
pub mod workload;
