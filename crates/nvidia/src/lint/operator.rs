//! Checks the GPU Operator's values, on their own and against the `ConfigMap`s that they name.
//!
//! Rules: gpu-operator v26.7.0, the chart's templates (which values are used) and
//! `controllers/object_controls.go` (how they are used).

use super::config_map::{ConfigMap, Configuration};
use super::device_plugin::sharing_method;
use super::mig_parted::config_names;
use super::nodes;
use super::sources::Sources;
use super::unknown_keys::unknown_keys;
use crate::file_keys::{self, is_mountable, mig_parted as keys};
use crate::schema::OPERATOR_VALUES;
use crate::yaml::LocatedValue;
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};
use apportion_core::gpu::names::DEVICE_PLUGIN_CONFIG;
use apportion_core::inventory::Inventory;

/// The chart's default for `mig.strategy`.
const DEFAULT_MIG_STRATEGY: &str = "single";
/// Values that the chart declares but ignores, each with a fix.
const IGNORED_VALUES: [(&str, &str); 3] = [
    (
        "cdi.default",
        "the operator ignores this, because cdi.enabled covers it; remove it",
    ),
    (
        "driver.useOpenKernelModules",
        "the operator ignores this; use driver.kernelModuleType",
    ),
    (
        "devicePlugin.mps.root",
        "the chart ignores this, so the root stays /run/nvidia/mps; set spec.devicePlugin.mps.root of the ClusterPolicy",
    ),
];

/// Checks the values. With a `cluster`, a missing default is reported only if a GPU node has no
/// label.
pub(super) fn lint(sources: &Sources, cluster: Option<&Inventory>) -> Vec<Finding> {
    if sources.values.is_empty() {
        return unselected_configs(sources);
    }
    let mut findings = Vec::new();
    for root in &sources.values {
        for key in unknown_keys(root, &OPERATOR_VALUES) {
            let message = format!("helm silently ignores this unknown value; {}", key.help);
            findings.push(Finding::warning(key.location, key.path, message));
        }
    }
    for (path, message) in IGNORED_VALUES.into_iter().filter(|_| !sources.is_cluster_policy) {
        // Setting the default is harmless.
        if let Some(value) = sources
            .value(path)
            .filter(|value| value.as_str() != Some("/run/nvidia/mps"))
        {
            findings.push(Finding::warning(value.location.clone(), path, message));
        }
    }
    check_mig_strategy(sources, &mut findings);
    check_device_plugin_config(sources, cluster, &mut findings);
    check_mig_manager_config(sources, &mut findings);
    check_overridden_flags(sources, &mut findings);
    findings
}

/// Reports configurations whose keys look like file names: no default or node label is likely to
/// select them.
fn unselected_configs(sources: &Sources) -> Vec<Finding> {
    let is_file_name = |configuration: &&Configuration| {
        matches!(
            configuration.key.as_str(),
            "config" | "config.yaml" | "config.yml" | "config.json"
        )
    };
    let maps = sources.config_maps.iter().filter(|map| map.name.is_some());
    maps.flat_map(|map| &map.device_plugin)
        .filter(is_file_name)
        .map(|configuration| {
            let key = &configuration.key;
            let message = format!(
                "the GPU Operator applies the configuration `{key}` only where it is selected: set devicePlugin.config.default={key}, or label nodes {DEVICE_PLUGIN_CONFIG}={key}; to check that, give lint the operator's values as well"
            );
            Finding::warning(configuration.location.clone(), format!("data[{key}]"), message)
        })
        .collect()
}

/// The operator passes `mig.strategy` as an environment variable on every node, which overrides the
/// files.
fn check_mig_strategy(sources: &Sources, findings: &mut Vec<Finding>) {
    let given = sources.value("mig.strategy");
    let default = if sources.is_cluster_policy {
        ""
    } else {
        DEFAULT_MIG_STRATEGY
    };
    let strategy = given.map_or(default, |value| value.as_str().unwrap_or_default());
    if let Some(value) = given
        && !["none", "single", "mixed", ""].contains(&strategy)
    {
        let message = format!(
            "the operator rejects {}; write none, single or mixed, or \"\" so that each node uses its own configuration",
            value.quoted()
        );
        findings.push(Finding::error(value.location.clone(), "mig.strategy", message));
        return;
    }
    if strategy.is_empty() {
        return;
    }
    for configuration in sources.device_plugin_configs() {
        let root = &configuration.root;
        let mps = sharing_method(root).filter(|method| method.name == file_keys::device_plugin::MPS);
        if let (Some(value), Some(mps), "mixed") = (given, mps, strategy) {
            let message = format!(
                "the operator sets this on every node, and with mixed the device plugin exits on nodes whose configuration uses MPS ({}): \"using --mig-strategy=mixed is not supported with MPS\"; set mig.strategy=\"\", and flags.migStrategy in each configuration",
                mps.value.location
            );
            findings.push(Finding::error(value.location.clone(), "mig.strategy", message));
            return;
        }
        let Some(own) = root.get_path("flags.migStrategy") else {
            continue;
        };
        // On a node without MIG, single means the same as none.
        let is_equivalent = |own: &str| own == strategy || (own, strategy) == ("none", "single");
        if own.as_str().is_some_and(|own| !is_equivalent(own)) {
            let setting = match given {
                Some(value) => format!("mig.strategy {strategy} ({})", value.location),
                None => format!("mig.strategy {strategy}, the chart's default,"),
            };
            let message = format!(
                "has no effect: {setting} is an environment variable on every node and overrides it; set mig.strategy=\"\""
            );
            let field = configuration.field("flags.migStrategy");
            findings.push(Finding::warning(own.location.clone(), field, message));
        }
    }
}

/// The `ConfigMap` that `devicePlugin.config` or `migManager.config` names. Reports a wrong name or
/// namespace.
fn named_config_map<'s>(
    sources: &'s Sources,
    path: &str,
    configurations: fn(&ConfigMap) -> &Vec<Configuration>,
    findings: &mut Vec<Finding>,
) -> Option<&'s ConfigMap> {
    let field = format!("{path}.name");
    let (name, value) = sources.string_value(&field)?;
    let candidates: Vec<&ConfigMap> = sources
        .config_maps
        .iter()
        .filter(|map| !configurations(map).is_empty())
        .collect();
    let Some(map) = candidates.iter().find(|map| map.name.as_deref() == Some(name)) else {
        let others: Vec<&str> = candidates.iter().filter_map(|map| map.name.as_deref()).collect();
        if let Some(other) = spelling::nearest(name, others.iter().copied()).or(others.first().copied()) {
            let message = format!("no ConfigMap in these files is named `{name}`; did you mean {other}?");
            findings.push(Finding::warning(value.location.clone(), field, message));
        }
        // A file without a ConfigMap around it may become this one.
        return candidates.into_iter().find(|map| map.name.is_none());
    };
    let operator = &sources.operator_namespace;
    if let Some((namespace, at)) = map.namespace.as_ref().filter(|(namespace, _)| namespace != operator) {
        let message = format!(
            "the operator's pods mount {name} ({}) from their own namespace {operator}, but this one is in {namespace}, so they would hang in ContainerCreating; write namespace: {operator}, or pass --operator-namespace {namespace} if the operator runs there",
            value.location
        );
        findings.push(Finding::error(at.clone(), "metadata.namespace", message));
    }
    Some(map)
}

fn check_device_plugin_config(sources: &Sources, cluster: Option<&Inventory>, findings: &mut Vec<Finding>) {
    const PATH: &str = "devicePlugin.config";
    if let Some((name, value)) = sources
        .string_value("devicePlugin.config.name")
        .filter(|(name, _)| !is_mountable(name))
    {
        let message = format!(
            "the operator names a volume `{name}`, and a volume name has at most 63 characters, no dots, and is not `config`, so the API server rejects its DaemonSets; give the ConfigMap another name"
        );
        findings.push(Finding::error(
            value.location.clone(),
            "devicePlugin.config.name",
            message,
        ));
    }
    check_chart_config_map(sources, PATH, findings);
    let map = named_config_map(sources, PATH, |map| &map.device_plugin, findings);
    let keys: Vec<&str> = map
        .into_iter()
        .flat_map(|map| &map.device_plugin)
        .map(|configuration| configuration.key.as_str())
        .filter(|key| !key.is_empty())
        .collect();
    let field = format!("{PATH}.default");
    match (
        sources.string_value(&format!("{PATH}.name")),
        sources.string_value(&field),
    ) {
        (None, Some((_, default))) => {
            let message = "has no effect without devicePlugin.config.name; set it to the name of the ConfigMap";
            findings.push(Finding::warning(default.location.clone(), field, message));
        }
        (Some(_), None) if cluster.is_some_and(nodes::are_all_labelled) => {}
        (Some((_, name)), None) => {
            let key = match &keys[..] {
                [] => "KEY".to_owned(),
                [only] => (*only).to_owned(),
                several => format!("one of {}", several.join(", ")),
            };
            let message = format!(
                "no default is set: a node without the label {DEVICE_PLUGIN_CONFIG} gets an empty configuration and shares nothing; set devicePlugin.config.default={key}, or label each node {DEVICE_PLUGIN_CONFIG}={key}"
            );
            findings.push(Finding::warning(name.location.clone(), format!("{PATH}.name"), message));
        }
        (Some(_), Some((default, value))) if !keys.is_empty() && !keys.contains(&default) => {
            let message = format!(
                "the ConfigMap has no key `{default}`, so the device plugin does not start on nodes without a label; its keys are {}",
                keys.join(", ")
            );
            findings.push(Finding::error(value.location.clone(), field, message));
        }
        _ => {}
    }
}

fn check_mig_manager_config(sources: &Sources, findings: &mut Vec<Finding>) {
    const PATH: &str = "migManager.config";
    let Some(map) = named_config_map(sources, PATH, |map| &map.mig_parted, findings) else {
        return;
    };
    if map.name.is_none() {
        return;
    }
    let Some(configuration) = map
        .mig_parted
        .iter()
        .find(|configuration| configuration.key == keys::CONFIG_MAP_KEY)
    else {
        if let Some(other) = map.mig_parted.first() {
            let message = format!(
                "the MIG manager reads only the key {0}; rename this key to {0}",
                keys::CONFIG_MAP_KEY
            );
            let field = format!("data[{}]", other.key);
            findings.push(Finding::error(other.location.clone(), field, message));
        }
        return;
    };
    let default = sources.string_value(&format!("{PATH}.default"));
    let name = default.map_or(keys::ALL_DISABLED, |(default, _)| default);
    if !config_names(configuration).any(|known| known == name) {
        let at: &Location = default.map_or(&configuration.location, |(_, value)| &value.location);
        let message = format!(
            "nodes without a label get `{name}`, which {} ({}) does not have, so the MIG manager fails there; add it, such as {name}: [{{devices: all, mig-enabled: false}}]",
            keys::CONFIGS,
            configuration.location
        );
        findings.push(Finding::error(at.clone(), format!("{PATH}.default"), message));
    }
}

/// The chart rejects `create: true` without data or a name, and silently ignores data without
/// `create: true`.
fn check_chart_config_map(sources: &Sources, path: &str, findings: &mut Vec<Finding>) {
    let create = sources.value(&format!("{path}.create"));
    let data = sources
        .value(&format!("{path}.data"))
        .filter(|data| !data.entries().is_empty());
    match (create.and_then(LocatedValue::as_bool), create, data) {
        (Some(true), Some(create), None) => {
            let message = format!(
                "the chart requires {path}.data with create: true; put the configurations there, or write false"
            );
            findings.push(Finding::error(
                create.location.clone(),
                format!("{path}.create"),
                message,
            ));
        }
        (Some(true), Some(create), Some(_)) if sources.string_value(&format!("{path}.name")).is_none() => {
            let message = format!("the chart requires {path}.name with create: true; set it");
            findings.push(Finding::error(
                create.location.clone(),
                format!("{path}.create"),
                message,
            ));
        }
        (Some(false) | None, _, Some(data)) => {
            let message =
                format!("has no effect: the chart creates a ConfigMap from it only with {path}.create: true; set it");
            findings.push(Finding::warning(data.location.clone(), format!("{path}.data"), message));
        }
        _ => {}
    }
}

/// Reports flags that the operator overrides on every node through environment variables.
fn check_overridden_flags(sources: &Sources, findings: &mut Vec<Finding>) {
    // The values that the operator sets by default are harmless.
    let is_operator_default = |value: &LocatedValue| {
        value.as_bool() == Some(true) || matches!(value.as_str(), Some("uuid" | "/run/nvidia/mps"))
    };
    for configuration in sources.device_plugin_configs() {
        for (path, variable) in file_keys::device_plugin::SET_BY_OPERATOR {
            let Some(value) = configuration
                .root
                .get_path(path)
                .filter(|value| !is_operator_default(value))
            else {
                continue;
            };
            let message = format!(
                "has no effect under the operator, which sets {variable} on every node and so overrides the file; set it in devicePlugin.env"
            );
            findings.push(Finding::warning(
                value.location.clone(),
                configuration.field(path),
                message,
            ));
        }
    }
}
