//! The node labels that select configurations.

use std::fmt::Write as _;

use super::quoting::{shell_word, yaml_scalar};
use super::{Rendered, header};
use crate::file_keys::mig_parted::ALL_DISABLED;
use crate::plan::mig_fit;
use crate::plan::model::{Plan, Pool};
use apportion_core::gpu::names::{DEVICE_PLUGIN_CONFIG, MIG_CONFIG};
use apportion_core::k8s::{LabelSelector, Operator};

pub(super) const COMMANDS: &str = "node-labels.sh";
pub(super) const FEATURES: &str = "node-labels.yaml";

fn labels<'p>(plan: &Plan, pool: &'p Pool) -> Vec<(&'static str, &'p str)> {
    let mut labels = vec![(DEVICE_PLUGIN_CONFIG, pool.name.as_str())];
    let uses_mig = plan.pools.iter().any(|pool| pool.mig.is_some());
    let can_have_mig = match &pool.product {
        Some(product) => !mig_fit::models_of(product).is_empty(),
        None => uses_mig,
    };
    if pool.mig.is_some() {
        labels.push((MIG_CONFIG, &pool.name));
    } else if can_have_mig {
        labels.push((MIG_CONFIG, ALL_DISABLED));
    }
    labels
}

/// A script with a `kubectl label` for every pool that selects nodes.
pub(super) fn commands(plan: &Plan) -> Option<Rendered> {
    let mut lines = String::new();
    for pool in &plan.pools {
        let labels: Vec<String> = labels(plan, pool)
            .iter()
            .map(|(key, value)| shell_word(&format!("{key}={value}")))
            .collect();
        let mut targets: Vec<String> = Vec::new();
        if !pool.nodes.is_empty() {
            targets.push(
                pool.nodes
                    .iter()
                    .map(|node| shell_word(node))
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
        if let Some(selector) = &pool.selector {
            targets.push(format!("-l {}", shell_word(&kubectl_selector(selector))));
        }
        for target in targets {
            let _ = writeln!(lines, "kubectl label nodes {target} {} --overwrite", labels.join(" "));
        }
    }
    if lines.is_empty() {
        return None;
    }
    let about = "Run it again when nodes join. Changing a node's MIG layout stops its GPU pods.";
    Some(Rendered {
        name: COMMANDS,
        purpose: "the labels of the pools' nodes, as a script",
        text: format!("#!/bin/sh\n{}set -eu\n{lines}", header(plan, about)),
    })
}

/// Formats a selector for `kubectl -l`.
fn kubectl_selector(selector: &LabelSelector) -> String {
    let parts: Vec<String> = selector
        .requirements
        .iter()
        .map(|requirement| {
            let key = &requirement.key;
            let values: Vec<&str> = requirement.values.iter().map(|value| &**value).collect();
            match requirement.operator {
                Operator::In if values.len() == 1 => format!("{key}={}", values[0]),
                Operator::In => format!("{key} in ({})", values.join(",")),
                Operator::NotIn => format!("{key} notin ({})", values.join(",")),
                Operator::DoesNotExist => format!("!{key}"),
                // The parser rejects Gt and Lt in a label selector.
                Operator::Exists | Operator::Gt | Operator::Lt => key.to_string(),
            }
        })
        .collect();
    parts.join(",")
}

/// `NodeFeature` objects for the nodes that the plan lists, which Node Feature Discovery turns into
/// labels.
pub(super) fn features(plan: &Plan) -> Option<Rendered> {
    let mut objects = String::new();
    for pool in &plan.pools {
        for node in &pool.nodes {
            // The object names its node in the value of a label, which has at most 63 characters.
            if node.len() > 63 {
                let _ = writeln!(
                    objects,
                    "# The name of {node} is too long for a NodeFeature; use node-labels.sh."
                );
                continue;
            }
            let _ = write!(
                objects,
                "---\napiVersion: nfd.k8s-sigs.io/v1alpha1\nkind: NodeFeature\nmetadata:\n  name: {}\n  namespace: {}\n  labels:\n    nfd.node.kubernetes.io/node-name: {}\nspec:\n  labels:\n",
                yaml_scalar(&format!("{}.{node}", plan.name)),
                yaml_scalar(&plan.operator_namespace),
                yaml_scalar(node)
            );
            for (key, value) in labels(plan, pool) {
                let _ = writeln!(objects, "    {key}: {}", yaml_scalar(value));
            }
        }
    }
    if objects.is_empty() {
        return None;
    }
    let about = "The labels of node-labels.sh for the nodes that the plan lists, to keep in a repository. Node\n\
         Feature Discovery, which the operator installs, adds these labels to nodes and removes them with\n\
         the objects. Use one file or the other.";
    Some(Rendered {
        name: FEATURES,
        purpose: "the same labels for Node Feature Discovery, to keep in a repository",
        text: format!("{}{objects}", header(plan, about)),
    })
}
