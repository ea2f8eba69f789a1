//! NVIDIA's files: the device plugin's configuration, mig-parted's, the GPU Operator's values, and a cluster beside them.
//!
//! Their readers say little when something is wrong: most keys that they do not know are passed over, and what one of them needs of
//! another is checked on no node before it stops there.

pub mod command;
pub mod drift;
pub mod keys;
pub mod mig_parted;
pub mod operator;
pub mod plugin;
pub mod source;
pub mod tree;

pub use source::Sources;

use apportion_core::diagnostics::Finding;
use apportion_core::inventory::Inventory;

/// What is wrong or doubtful in these files, in the order of their places; `cluster` is the one that they are for, where it is at hand.
pub fn lint(sources: &Sources, cluster: Option<&Inventory>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = sources.plugins().flat_map(plugin::lint).collect();
    let entries = sources.config_maps.iter().flat_map(|map| &map.mig_parted);
    findings.extend(entries.flat_map(mig_parted::lint));
    findings.extend(operator::lint(sources, cluster));
    findings.sort_by(|a, b| a.location.cmp(&b.location));
    findings
}
