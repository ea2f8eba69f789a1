//! Checks across pools, the default, namespaces and the operator.

use std::collections::BTreeMap;

use super::document::{Document, Pool as PoolEntry};
use super::model::{MigStrategy, Plan, RESERVED};
use crate::file_keys::is_mountable;
use apportion_core::diagnostics::reader::Reader;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::names::gpu_label;

pub(super) fn check_plan(reader: &mut Reader, document: &Document, plan: &Plan) {
    check_namespace(reader, document, plan);
    check_config_map_name(reader, document, plan);
    check_pools(reader, document);
    check_default(reader, document);
    check_operator_mig_strategy(reader, document, plan);
}

fn check_namespace(reader: &mut Reader, document: &Document, plan: &Plan) {
    let Some(namespace) = &document.spec.device_plugin.config_map.namespace else {
        return;
    };
    let operator = &plan.operator_namespace;
    if namespace.value != *operator {
        let message = format!(
            "pods cannot mount a ConfigMap from another namespace, so the operator's pods in {operator} would hang in ContainerCreating; write {operator}, or remove it"
        );
        reader.error(namespace, "spec.devicePlugin.configMap.namespace", message);
    }
}

fn check_config_map_name(reader: &mut Reader, document: &Document, plan: &Plan) {
    if is_mountable(&plan.config_map) {
        return;
    }
    let message = format!(
        "`{}` is not a valid name for the ConfigMap: the operator names a volume after it, and a volume name has at most 63 characters, no dots, and is not `config`; choose another name",
        plan.config_map
    );
    match &document.spec.device_plugin.config_map.name {
        Some(name) => reader.error(name, "spec.devicePlugin.configMap.name", message),
        None => reader.error(&document.metadata.name, "metadata.name", message),
    }
}

fn check_pools(reader: &mut Reader, document: &Document) {
    let entries = &document.spec.pools;
    if entries.value.is_empty() {
        reader.error(entries, "spec.pools", "the plan has no pool; list at least one");
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut nodes: BTreeMap<&str, &str> = BTreeMap::new();
    for (index, entry) in entries.value.iter().enumerate() {
        let given = &entry.value;
        let field = format!("spec.pools[{index}]");
        let name = given.name.value.as_str();
        if let Some(first) = names.insert(name, index) {
            let message = format!("`{name}` is already the name of spec.pools[{first}]; rename one of them");
            reader.error(&given.name, &format!("{field}.name"), message);
        }
        if RESERVED.contains(&name) {
            let message = format!("`{name}` is reserved for nodes outside all pools; choose another name");
            reader.error(&given.name, &format!("{field}.name"), message);
        }
        for (node_index, node) in given.nodes.iter().enumerate() {
            if let Some(other) = nodes.insert(&node.value, name) {
                let message = format!(
                    "`{}` is already in pool `{other}`, and the device plugin of a node has one configuration; list the node in one pool",
                    node.value
                );
                reader.error(node, &format!("{field}.nodes[{node_index}]"), message);
            }
        }
        check_selector_labels(reader, given, &field);
        check_reachable(reader, document, given, &field);
    }
}

/// A selector must not depend on labels whose values change when the plan is applied.
fn check_selector_labels(reader: &mut Reader, given: &PoolEntry, field: &str) {
    let Some(selector) = &given.node_selector else { return };
    let selector_value = &selector.value;
    let keys = selector_value.match_labels.keys().chain(
        selector_value
            .match_expressions
            .iter()
            .map(|expression| &expression.value.key.value),
    );
    for key in keys {
        let discovered = [
            gpu_label::PRODUCT,
            gpu_label::REPLICAS,
            gpu_label::SHARING_STRATEGY,
            gpu_label::COUNT,
            gpu_label::MEMORY,
        ];
        if discovered.contains(&key.as_str()) {
            let message = format!(
                "GPU feature discovery can change {key} when GPUs are shared or partitioned, so this may match other nodes later; use node names, or a label of your own"
            );
            reader.warning(selector, &format!("{field}.nodeSelector"), message);
        }
    }
}

fn check_reachable(reader: &mut Reader, document: &Document, given: &PoolEntry, field: &str) {
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
            "an empty selector matches every node, including nodes without GPUs; select labels, or write devicePlugin.default: {}",
            given.name.value
        );
        reader.error(selector, &format!("{field}.nodeSelector"), message);
    }
    if given.nodes.is_empty() && given.node_selector.is_none() && !is_default {
        let message = format!(
            "no node gets this configuration, because the pool has no nodes and is not the default; list nodes or a nodeSelector, or write spec.devicePlugin.default: {}",
            given.name.value
        );
        reader.error(&given.name, field, message);
    }
    if is_default && given.nodes.is_empty() && given.node_selector.is_none() && given.mig.is_some() {
        let message = "the default applies only to the device plugin: the MIG manager reads a label of the node; list nodes or a nodeSelector";
        reader.error(&given.name, field, message);
    }
}

fn check_default(reader: &mut Reader, document: &Document) {
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
            "no pool is named `{}`, and the device plugin does not start with a default that its ConfigMap does not have; the pools are {}",
            default.value,
            known.join(", ")
        );
        reader.error(default, "spec.devicePlugin.default", message);
    }
}

/// The operator passes `mig.strategy` as an environment variable on every node, which overrides
/// each pool's configuration.
fn check_operator_mig_strategy(reader: &mut Reader, document: &Document, plan: &Plan) {
    let (Some(text), Some(strategy)) = (&document.spec.operator.mig_strategy, plan.operator_mig_strategy) else {
        return;
    };
    let field = "spec.operator.migStrategy";
    if let Some(pool) = plan.pools.iter().find(|pool| pool.strategy == Strategy::Mps)
        && strategy == MigStrategy::Mixed
    {
        let message = format!(
            "the operator sets this on every node, and with mixed the device plugin of pool `{}` exits with \"using --mig-strategy=mixed is not supported with MPS\"; remove it, so that each pool uses its own",
            pool.name
        );
        reader.error(text, field, message);
    } else if let Some(pool) = plan
        .pools
        .iter()
        .find(|pool| pool.mig_strategy() != strategy && pool.mig.is_some())
    {
        let message = format!(
            "the operator sets this on every node, which overrides the {} that pool `{}` needs; remove it, so that each pool uses its own",
            pool.mig_strategy().as_str(),
            pool.name
        );
        reader.error(text, field, message);
    }
}
