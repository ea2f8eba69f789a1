//! The device plugin's `ConfigMap`: a key for each pool.

use std::fmt::Write as _;

use super::scalar::scalar;
use super::{Rendered, header};
use crate::file_keys::{VERSION, plugin};
use crate::plan::model::{MigStrategy, Plan, Pool, Sharing, UNSHARED};
use apportion_core::gpu::Strategy;

pub(super) const NAME: &str = "device-plugin-configmap.yaml";

pub(super) fn render(plan: &Plan) -> Rendered {
    let about = format!(
        "A key for each pool, chosen by the node label in node-labels.sh. In the operator's namespace, or its pods can not mount it.\n\
         The device plugin reads a changed key only after a restart: kubectl -n {} rollout restart daemonset nvidia-device-plugin-daemonset",
        plan.operator_namespace
    );
    let mut text = header(plan, &about);
    let _ = write!(
        text,
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n  namespace: {}\ndata:\n",
        scalar(&plan.config_map),
        scalar(&plan.operator_namespace)
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
    let _ = writeln!(text, "  {}: |", scalar(key));
    for line in configuration.lines() {
        let _ = writeln!(text, "    {line}");
    }
}

fn flags(strategy: MigStrategy) -> String {
    format!(
        "version: {VERSION}\n{}:\n  {}: {}\n",
        plugin::FLAGS,
        plugin::MIG_STRATEGY,
        strategy.as_str()
    )
}

/// The device plugin's configuration on the nodes of a pool.
fn configuration(pool: &Pool) -> String {
    let mut text = flags(pool.mig_strategy());
    if let Some(policy) = &pool.allocation {
        let _ = write!(
            text,
            "  {}:\n    {}: {policy}\n",
            plugin::PLUGIN,
            plugin::ALLOCATION_POLICY
        );
    }
    if let Some(sharing) = pool.sharing {
        text.push_str(&shared(pool, sharing));
    }
    text
}

fn shared(pool: &Pool, sharing: Sharing) -> String {
    let method = if pool.strategy == Strategy::Mps {
        plugin::MPS
    } else {
        plugin::TIME_SLICING
    };
    let mut text = format!(
        "{}:\n  {method}:\n    {}: {}\n",
        plugin::SHARING,
        plugin::RENAME_BY_DEFAULT,
        sharing.rename
    );
    if let Some(fail) = sharing.fail_above_one {
        let _ = writeln!(text, "    {}: {fail}", plugin::FAIL_ABOVE_ONE);
    }
    let _ = writeln!(text, "    {}:", plugin::RESOURCES);
    for resource in pool.resources() {
        let _ = writeln!(text, "    - name: {resource}\n      replicas: {}", sharing.replicas);
    }
    text
}
