//! What has to be true of a plan as a whole.

use std::collections::BTreeMap;

use super::document::{Document, Pool as PoolEntry};
use super::model::{MigStrategy, Plan, RESERVED};
use crate::file_keys::is_mountable;
use apportion_core::diagnostics::reader::Reader;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::names::gpu_label;

/// Finds what pools, default, namespaces and the operator do not agree on.
pub fn whole(reader: &mut Reader, document: &Document, plan: &Plan) {
    namespaces(reader, document, plan);
    mountable(reader, document, plan);
    pools(reader, document);
    default(reader, document);
    strategies(reader, document, plan);
}

fn namespaces(reader: &mut Reader, document: &Document, plan: &Plan) {
    let Some(namespace) = &document.spec.device_plugin.config_map.namespace else {
        return;
    };
    let operator = &plan.operator_namespace;
    if namespace.value != *operator {
        let message = format!(
            "pods can not mount a ConfigMap of another namespace, so the operator's in {operator} would hang in ContainerCreating; write {operator}, or leave it out"
        );
        reader.error(namespace, "spec.devicePlugin.configMap.namespace", message);
    }
}

/// The operator names a volume after the device plugin's `ConfigMap`.
fn mountable(reader: &mut Reader, document: &Document, plan: &Plan) {
    if is_mountable(&plan.config_map) {
        return;
    }
    let message = format!(
        "`{}` can not be the name of the ConfigMap: the operator names a volume after it, which takes no dot, at most 63 characters, and not `config`; choose another",
        plan.config_map
    );
    match &document.spec.device_plugin.config_map.name {
        Some(name) => reader.error(name, "spec.devicePlugin.configMap.name", message),
        None => reader.error(&document.metadata.name, "metadata.name", message),
    }
}

fn pools(reader: &mut Reader, document: &Document) {
    let entries = &document.spec.pools;
    if entries.value.is_empty() {
        reader.error(
            entries,
            "spec.pools",
            "a plan without a pool plans nothing; list at least one",
        );
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut nodes: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, entry) in entries.value.iter().enumerate() {
        let given = &entry.value;
        let field = format!("spec.pools[{at}]");
        let name = given.name.value.as_str();
        if let Some(first) = names.insert(name, at) {
            let message = format!("`{name}` is already the name of spec.pools[{first}]; give one of them another");
            reader.error(&given.name, &format!("{field}.name"), message);
        }
        if RESERVED.contains(&name) {
            let message = format!("`{name}` is what nodes of no pool get; choose another name");
            reader.error(&given.name, &format!("{field}.name"), message);
        }
        for (index, node) in given.nodes.iter().enumerate() {
            if let Some(other) = nodes.insert(&node.value, name) {
                let message = format!(
                    "`{}` stands in pool `{other}` already, and a node has one device plugin with one configuration; keep it in one",
                    node.value
                );
                reader.error(node, &format!("{field}.nodes[{index}]"), message);
            }
        }
        changing_labels(reader, given, &field);
        reached(reader, document, given, &field);
    }
}

/// Labels that the plan itself changes are no way to say which nodes it is about.
fn changing_labels(reader: &mut Reader, given: &PoolEntry, field: &str) {
    let Some(selector) = &given.node_selector else { return };
    let parts = &selector.value;
    let keys = parts.match_labels.keys().chain(
        parts
            .match_expressions
            .iter()
            .map(|expression| &expression.value.key.value),
    );
    for key in keys {
        let changes = [
            gpu_label::PRODUCT,
            gpu_label::REPLICAS,
            gpu_label::SHARING_STRATEGY,
            gpu_label::COUNT,
            gpu_label::MEMORY,
        ];
        if changes.contains(&key.as_str()) {
            let message = format!(
                "{key} is written by GPU feature discovery and can change when the GPUs are shared or partitioned, so this may not find the same nodes again; use names, or a label of your own"
            );
            reader.warning(selector, &format!("{field}.nodeSelector"), message);
        }
    }
}

fn reached(reader: &mut Reader, document: &Document, given: &PoolEntry, field: &str) {
    let is_default = document
        .spec
        .device_plugin
        .default
        .as_ref()
        .is_some_and(|default| default.value == given.name.value);
    if let Some(selector) = &given.node_selector
        && selector.value.match_labels.is_empty()
        && selector.value.match_expressions.is_empty()
    {
        let message = format!(
            "an empty selector is every node, those without GPUs too; name labels, or write devicePlugin.default: {}",
            given.name.value
        );
        reader.error(selector, &format!("{field}.nodeSelector"), message);
    }
    if given.nodes.is_empty() && given.node_selector.is_none() && !is_default {
        let message = format!(
            "no node would ever get this configuration, as it has neither a label nor is the default: the operator's device plugin then runs with an empty one and shares nothing; list nodes or a nodeSelector, or write spec.devicePlugin.default: {}",
            given.name.value
        );
        reader.error(&given.name, field, message);
    }
    if is_default && given.nodes.is_empty() && given.node_selector.is_none() && given.mig.is_some() {
        let message = "the default reaches the device plugin alone: the MIG manager partitions by a label on the node; list nodes or a nodeSelector";
        reader.error(&given.name, field, message);
    }
}

fn default(reader: &mut Reader, document: &Document) {
    let Some(default) = &document.spec.device_plugin.default else {
        return;
    };
    let known: Vec<&str> = document
        .spec
        .pools
        .value
        .iter()
        .map(|entry| entry.value.name.value.as_str())
        .collect();
    if !known.contains(&default.value.as_str()) {
        let message = format!(
            "`{}` is no pool, and the device plugin would not start with a default that its ConfigMap lacks; the pools are {}",
            default.value,
            known.join(", ")
        );
        reader.error(default, "spec.devicePlugin.default", message);
    }
}

/// `mig.strategy` of the operator is an environment variable on every node, which beats each pool's file.
fn strategies(reader: &mut Reader, document: &Document, plan: &Plan) {
    let (Some(text), Some(strategy)) = (&document.spec.operator.mig_strategy, plan.operator_mig_strategy) else {
        return;
    };
    let field = "spec.operator.migStrategy";
    if let Some(pool) = plan.pools.iter().find(|pool| pool.strategy == Strategy::Mps)
        && strategy == MigStrategy::Mixed
    {
        let message = format!(
            "the operator sets it on every node, and with mixed the device plugin of pool `{}` ends with \"using --mig-strategy=mixed is not supported with MPS\"; leave it out, so that each pool has its own",
            pool.name
        );
        reader.error(text, field, message);
    } else if let Some(pool) = plan
        .pools
        .iter()
        .find(|pool| pool.mig_strategy() != strategy && pool.mig.is_some())
    {
        let message = format!(
            "the operator sets it on every node, over the {} that pool `{}` needs; leave it out, so that each pool has its own",
            pool.mig_strategy().as_str(),
            pool.name
        );
        reader.error(text, field, message);
    }
}
