//! The labels that choose a node's configuration.

use std::fmt::Write as _;

use super::scalar::{argument, scalar};
use super::{Rendered, header};
use crate::file_keys::mig_parted::ALL_DISABLED;
use crate::plan::layout;
use crate::plan::model::{Plan, Pool};
use apportion_core::gpu::names::{DEVICE_PLUGIN_CONFIG, MIG_CONFIG};
use apportion_core::k8s::{LabelSelector, Operator};

pub(super) const COMMANDS: &str = "node-labels.sh";
pub(super) const FEATURES: &str = "node-labels.yaml";

/// The labels of a pool's nodes.
fn labels<'p>(plan: &Plan, pool: &'p Pool) -> Vec<(&'static str, &'p str)> {
    let mut labels = vec![(DEVICE_PLUGIN_CONFIG, pool.name.as_str())];
    let partitions = plan.pools.iter().any(|pool| pool.mig.is_some());
    let may_have_mig = match &pool.product {
        Some(product) => !layout::models(product).is_empty(),
        None => partitions,
    };
    if pool.mig.is_some() {
        labels.push((MIG_CONFIG, &pool.name));
    } else if may_have_mig {
        labels.push((MIG_CONFIG, ALL_DISABLED));
    }
    labels
}

/// `kubectl label` for every pool that has nodes.
pub(super) fn commands(plan: &Plan) -> Option<Rendered> {
    let mut lines = String::new();
    for pool in &plan.pools {
        let labels: Vec<String> = labels(plan, pool)
            .iter()
            .map(|(key, value)| argument(&format!("{key}={value}")))
            .collect();
        let mut whom: Vec<String> = Vec::new();
        if !pool.nodes.is_empty() {
            whom.push(
                pool.nodes
                    .iter()
                    .map(|node| argument(node))
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
        if let Some(selector) = &pool.selector {
            whom.push(format!("-l {}", argument(&selection(selector))));
        }
        for whom in whom {
            let _ = writeln!(lines, "kubectl label nodes {whom} {} --overwrite", labels.join(" "));
        }
    }
    if lines.is_empty() {
        return None;
    }
    let about = "Run it again when nodes join. A change of MIG layout ends the GPU pods of its node.";
    Some(Rendered {
        name: COMMANDS,
        purpose: "which node is in which pool, as commands",
        text: format!("#!/bin/sh\n{}set -eu\n{lines}", header(plan, about)),
    })
}

/// A selector as `kubectl -l` takes it.
fn selection(selector: &LabelSelector) -> String {
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
                // A label selector has no other operators: the parser refuses Gt and Lt.
                Operator::Exists | Operator::Gt | Operator::Lt => key.to_string(),
            }
        })
        .collect();
    parts.join(",")
}

/// The same for nodes that the plan names, as objects that Node Feature Discovery turns into labels.
pub(super) fn features(plan: &Plan) -> Option<Rendered> {
    let mut objects = String::new();
    for pool in &plan.pools {
        for node in &pool.nodes {
            // A label's value has 63 characters at most, and by one the object says which node it is about.
            if node.len() > 63 {
                let _ = writeln!(
                    objects,
                    "# {node} has too long a name for this: label it by node-labels.sh."
                );
                continue;
            }
            let _ = write!(
                objects,
                "---\napiVersion: nfd.k8s-sigs.io/v1alpha1\nkind: NodeFeature\nmetadata:\n  name: {}\n  namespace: {}\n  labels:\n    nfd.node.kubernetes.io/node-name: {}\nspec:\n  labels:\n",
                scalar(&format!("{}.{node}", plan.name)),
                scalar(&plan.operator_namespace),
                scalar(node)
            );
            for (key, value) in labels(plan, pool) {
                let _ = writeln!(objects, "    {key}: {}", scalar(value));
            }
        }
    }
    if objects.is_empty() {
        return None;
    }
    let about = "The same as node-labels.sh for nodes that the plan names, to keep in a repository: Node Feature Discovery, which the operator\n\
         installs, makes labels of them and takes them back when they go. Use one or the other.";
    Some(Rendered {
        name: FEATURES,
        purpose: "the same for Node Feature Discovery, to keep in a repository",
        text: format!("{}{objects}", header(plan, about)),
    })
}
