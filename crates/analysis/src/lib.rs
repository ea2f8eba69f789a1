//! What policies do to a cluster's pods: explanations, maps, replays, tests and doubtful policies.

pub mod explain;
pub mod lint;
pub mod map;
pub mod policy_test;
pub mod replay;
pub mod verdict;
