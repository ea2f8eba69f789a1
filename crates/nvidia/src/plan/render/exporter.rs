//! dcgm-exporter's settings: which pods it names in its metrics.

use std::fmt::Write as _;

use super::scalar::scalar;
use super::{Rendered, header};
use crate::file_keys::dcgm;
use crate::plan::model::{Plan, Pool};
use apportion_core::gpu::GpuResource;

pub(super) const NAME: &str = "dcgm-exporter-values.yaml";

pub(super) fn render(plan: &Plan) -> Rendered {
    let mut text = header(
        plan,
        "For a dcgm-exporter that its own chart installs. The operator's gets the same by gpu-operator-values.yaml.",
    );
    for line in settings(plan, "extraEnv").lines() {
        let _ = writeln!(text, "{}", line.strip_prefix("  ").unwrap_or(line));
    }
    Rendered {
        name: NAME,
        purpose: "dcgm-exporter's values, where the operator does not install it",
        text,
    }
}

/// The settings, as they stand two blanks deep in the operator's values.
pub(super) fn settings(plan: &Plan, environment: &str) -> String {
    let mut text = String::new();
    let mut names: Vec<GpuResource> = plan
        .pools
        .iter()
        .flat_map(Pool::offered)
        // The exporter knows nvidia.com/gpu, and whatever begins with nvidia.com/mig-.
        .filter(|resource| *resource == GpuResource::GpuShared)
        .collect();
    names.sort_unstable();
    names.dedup();
    let shared = plan.pools.iter().any(|pool| pool.sharing.is_some());
    if shared {
        let _ = writeln!(text, "  {environment}:");
    }
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let _ = write!(
            text,
            "  # Without it, metrics of renamed shares name no pod.\n  - name: {}\n    value: {}\n",
            dcgm::RESOURCE_NAMES,
            scalar(&names.join(","))
        );
    }
    if shared {
        let _ = write!(
            text,
            "  # A series for each pod that shares a GPU; without it the last one's name stands on all of it. Most series repeat the\n  \
             # value of the whole GPU: do not add them up.\n  - name: {}\n    value: \"true\"\n",
            dcgm::VIRTUAL_GPUS
        );
    }
    text.push_str(
        "  serviceMonitor:\n    # Or Prometheus renames the labels of the pod to exported_pod, exported_namespace and exported_container.\n    honorLabels: true\n",
    );
    text
}
