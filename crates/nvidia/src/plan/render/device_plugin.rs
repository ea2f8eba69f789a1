//! The device plugin's `ConfigMap`, with a key for each pool.

use std::fmt::Write as _;

use super::quoting::yaml_scalar;
use super::{Rendered, header};
use crate::file_keys::{VERSION, device_plugin as keys};
use crate::plan::model::{MigStrategy, Plan, Pool, Sharing, UNSHARED};
use apportion_core::gpu::Strategy;

pub(super) const NAME: &str = "device-plugin-configmap.yaml";

pub(super) fn render(plan: &Plan) -> Rendered {
    let about = format!(
        "A key for each pool, selected by the node label in node-labels.sh. The ConfigMap must be in the\n\
         operator's namespace, so that its pods can mount it. To apply a changed key, restart the plugin:\n\
         kubectl -n {} rollout restart daemonset nvidia-device-plugin-daemonset",
        plan.operator_namespace
    );
    let mut text = header(plan, &about);
    let _ = write!(
        text,
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n  namespace: {}\ndata:\n",
        yaml_scalar(&plan.config_map),
        yaml_scalar(&plan.operator_namespace)
    );
    if plan.default.is_none() {
        entry(&mut text, UNSHARED, &flags(MigStrategy::None));
    }
    for pool in &plan.pools {
        entry(&mut text, &pool.name, &configuration(pool));
    }
    Rendered {
        name: NAME,
        purpose: "the device plugin's configuration",
        text,
    }
}

fn entry(text: &mut String, key: &str, configuration: &str) {
    let _ = writeln!(text, "  {}: |", yaml_scalar(key));
    for line in configuration.lines() {
        let _ = writeln!(text, "    {line}");
    }
}

fn flags(strategy: MigStrategy) -> String {
    format!(
        "version: {VERSION}\n{}:\n  {}: {}\n",
        keys::FLAGS,
        keys::MIG_STRATEGY,
        strategy.as_str()
    )
}

/// The device plugin's configuration on the nodes of a pool.
fn configuration(pool: &Pool) -> String {
    let mut text = flags(pool.mig_strategy());
    if let Some(policy) = &pool.allocation_policy {
        let _ = write!(text, "  {}:\n    {}: {policy}\n", keys::PLUGIN, keys::ALLOCATION_POLICY);
    }
    if let Some(sharing) = pool.sharing {
        text.push_str(&sharing_section(pool, sharing));
    }
    text
}

fn sharing_section(pool: &Pool, sharing: Sharing) -> String {
    let method = if pool.strategy == Strategy::Mps {
        keys::MPS
    } else {
        keys::TIME_SLICING
    };
    let mut text = format!(
        "{}:\n  {method}:\n    {}: {}\n",
        keys::SHARING,
        keys::RENAME_BY_DEFAULT,
        sharing.rename
    );
    if let Some(fail) = sharing.fail_requests_greater_than_one {
        let _ = writeln!(text, "    {}: {fail}", keys::FAIL_REQUESTS_GREATER_THAN_ONE);
    }
    let _ = writeln!(text, "    {}:", keys::RESOURCES);
    for resource in pool.resources() {
        let _ = writeln!(text, "    - name: {resource}\n      replicas: {}", sharing.replicas);
    }
    text
}
