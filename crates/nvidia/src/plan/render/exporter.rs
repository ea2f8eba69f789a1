//! dcgm-exporter's settings, which decide which pods its metrics name.

use std::fmt::Write as _;

use super::quoting::yaml_scalar;
use super::{Rendered, header};
use crate::file_keys::dcgm;
use crate::plan::model::{Plan, Pool};
use apportion_core::gpu::GpuResource;

pub(super) const NAME: &str = "dcgm-exporter-values.yaml";

pub(super) fn render(plan: &Plan) -> Rendered {
    let mut text = header(
        plan,
        "For a dcgm-exporter installed by its own chart. For the operator's, gpu-operator-values.yaml has the\n\
         same settings.",
    );
    for line in settings(plan, "extraEnv").lines() {
        let _ = writeln!(text, "{}", line.strip_prefix("  ").unwrap_or(line));
    }
    Rendered {
        name: NAME,
        purpose: "dcgm-exporter's values, if the operator does not install it",
        text,
    }
}

/// The settings, indented by two spaces as in the operator's values. `env_key` is the chart's key
/// for environment variables.
pub(super) fn settings(plan: &Plan, env_key: &str) -> String {
    let mut text = String::new();
    let mut names: Vec<GpuResource> = plan
        .pools
        .iter()
        .flat_map(Pool::offered)
        // The exporter knows nvidia.com/gpu and all names that start with nvidia.com/mig-.
        .filter(|resource| *resource == GpuResource::GpuShared)
        .collect();
    names.sort_unstable();
    names.dedup();
    let is_shared = plan.pools.iter().any(|pool| pool.sharing.is_some());
    if is_shared {
        let _ = writeln!(text, "  {env_key}:");
    }
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let _ = write!(
            text,
            "  # Without this, metrics of renamed shares name no pod.\n  - name: {}\n    value: {}\n",
            dcgm::RESOURCE_NAMES,
            yaml_scalar(&names.join(","))
        );
    }
    if is_shared {
        let _ = write!(
            text,
            "  # One series for each pod that shares a GPU; without this, the last pod's name labels the whole\n  \
             # GPU. Most series repeat the value of the whole GPU: do not add them up.\n  - name: {}\n    value: \"true\"\n",
            dcgm::VIRTUAL_GPUS
        );
    }
    text.push_str(
        "  serviceMonitor:\n    # Otherwise Prometheus renames the pod's labels to exported_pod, exported_namespace and\n    # exported_container.\n    honorLabels: true\n",
    );
    text
}
