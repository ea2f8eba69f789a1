//! The GPU Operator's Helm values.

use std::fmt::Write as _;

use super::scalar::scalar;
use super::{Rendered, exporter, header, mig_parted};
use crate::file_keys::mig_parted::ALL_DISABLED;
use crate::plan::model::Plan;

pub(super) const NAME: &str = "gpu-operator-values.yaml";

pub(super) fn render(plan: &Plan) -> Rendered {
    let namespace = &plan.operator_namespace;
    let about = format!(
        "helm upgrade --install gpu-operator nvidia/gpu-operator -n {namespace} --create-namespace -f {NAME}\n\
         The ConfigMaps come first: pods of the operator wait for them."
    );
    let mut text = header(plan, &about);
    text.push_str("mig:\n");
    match plan.operator_mig_strategy {
        Some(strategy) => {
            let _ = writeln!(text, "  strategy: {}", strategy.as_str());
        }
        None => text.push_str(
            "  # Empty, so that each node takes flags.migStrategy from its own configuration: a value here is an environment variable on\n  \
             # every node, which beats it, and with `mixed` no node can have MPS.\n  \
             strategy: \"\"\n",
        ),
    }
    let _ = write!(
        text,
        "devicePlugin:\n  config:\n    create: false\n    name: {}\n",
        scalar(&plan.config_map)
    );
    let _ = writeln!(
        text,
        "    # For nodes without the label. With no default they would run on an empty configuration.\n    default: {}",
        scalar(plan.default_configuration())
    );
    if !plan.plugin_environment.is_empty() {
        text.push_str("  # The operator sets these itself, so they have no effect in the ConfigMap.\n  env:\n");
        for (name, value) in &plan.plugin_environment {
            let _ = writeln!(text, "  - name: {name}\n    value: {}", scalar(value));
        }
    }
    if plan.pools.iter().any(|pool| pool.mig.is_some()) {
        let _ = write!(
            text,
            "migManager:\n  config:\n    create: false\n    name: {}\n    default: {ALL_DISABLED}\n",
            scalar(&mig_parted::config_map(plan))
        );
    }
    text.push_str("dcgmExporter:\n");
    text.push_str(&exporter::settings(plan, "env"));
    Rendered {
        name: NAME,
        purpose: "the GPU Operator's values",
        text,
    }
}
