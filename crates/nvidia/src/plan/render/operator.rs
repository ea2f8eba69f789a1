//! The GPU Operator's Helm values.

use std::fmt::Write as _;

use super::quoting::yaml_scalar;
use super::{Rendered, exporter, header, mig_parted};
use crate::file_keys::mig_parted::ALL_DISABLED;
use crate::plan::model::Plan;

pub(super) const NAME: &str = "gpu-operator-values.yaml";

pub(super) fn render(plan: &Plan) -> Rendered {
    let namespace = &plan.operator_namespace;
    let about = format!(
        "helm upgrade --install gpu-operator nvidia/gpu-operator -n {namespace} --create-namespace -f {NAME}\n\
         Apply the ConfigMaps first: the operator's pods wait for them."
    );
    let mut text = header(plan, &about);
    text.push_str("mig:\n");
    match plan.operator_mig_strategy {
        Some(strategy) => {
            let _ = writeln!(text, "  strategy: {}", strategy.as_str());
        }
        None => text.push_str(
            "  # Empty, so that each node uses flags.migStrategy of its own configuration. A value here becomes\n  \
             # an environment variable on every node, which overrides it, and with `mixed` no node can use MPS.\n  \
             strategy: \"\"\n",
        ),
    }
    let _ = write!(
        text,
        "devicePlugin:\n  config:\n    create: false\n    name: {}\n",
        yaml_scalar(&plan.config_map)
    );
    let _ = writeln!(
        text,
        "    # For nodes without the label. Without a default they would get an empty configuration.\n    default: {}",
        yaml_scalar(plan.default_configuration())
    );
    if !plan.plugin_environment.is_empty() {
        text.push_str("  # The operator sets these variables, so they have no effect in the ConfigMap.\n  env:\n");
        for (name, value) in &plan.plugin_environment {
            let _ = writeln!(text, "  - name: {name}\n    value: {}", yaml_scalar(value));
        }
    }
    if plan.pools.iter().any(|pool| pool.mig.is_some()) {
        let _ = write!(
            text,
            "migManager:\n  config:\n    create: false\n    name: {}\n    default: {ALL_DISABLED}\n",
            yaml_scalar(&mig_parted::config_map_name(plan))
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
