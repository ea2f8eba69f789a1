//! Lints the files of NVIDIA's components: the device plugin's configuration, mig-parted's, and the
//! GPU Operator's values, on their own, against each other, and against a cluster.
//!
//! The components report few mistakes: most unknown keys are silently ignored, and a setting that
//! another file contradicts fails only on the node.

mod config_map;
mod device_plugin;
mod helm;
mod mig_parted;
mod nodes;
mod operator;
mod shell;
mod sources;
mod unknown_keys;

pub use helm::SetError;
pub use nodes::lint_nodes;
pub use sources::Sources;

use apportion_core::diagnostics::Finding;
use apportion_core::inventory::Inventory;

/// Checks the files, and returns the findings ordered by location. With a `cluster`, nodes without
/// a label matter only if there are any.
pub fn lint(sources: &Sources, cluster: Option<&Inventory>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = sources.device_plugin_configs().flat_map(device_plugin::lint).collect();
    findings.extend(sources.mig_parted_configs().flat_map(mig_parted::lint));
    findings.extend(operator::lint(sources, cluster));
    findings.sort_by(|a, b| a.location.cmp(&b.location));
    findings
}
