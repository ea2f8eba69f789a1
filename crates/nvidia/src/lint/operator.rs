//! The GPU Operator's values, and what they and the `ConfigMap`s do not say alike.
//!
//! Its rules: gpu-operator v26.7.0, the chart's templates (which values are used) and `controllers/object_controls.go`
//! (what becomes of them).

use super::drift;
use super::keys;
use super::mig_parted;
use super::plugin;
use super::source::{ConfigMap, Configuration, Sources};
use super::tree::Value;
use crate::file_keys::{OPERATOR_VALUES, is_mountable, mig_parted as entries, plugin as names};
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};
use apportion_core::gpu::names::DEVICE_PLUGIN_CONFIG;
use apportion_core::inventory::Inventory;

/// `mig.strategy` of the chart's own values.
const DEFAULT_MIG_STRATEGY: &str = "single";
/// What the chart ignores though its values have it, and what to do.
const WITHOUT_EFFECT: [(&str, &str); 3] = [
    (
        "cdi.default",
        "the operator ignores it since cdi.enabled does all; remove it",
    ),
    (
        "driver.useOpenKernelModules",
        "the operator ignores it; write driver.kernelModuleType",
    ),
    (
        "devicePlugin.mps.root",
        "no template of the chart uses it, so the root stays /run/nvidia/mps; set spec.devicePlugin.mps.root of the ClusterPolicy",
    ),
];

/// What is wrong or doubtful in values, alone and beside `ConfigMap`s. A cluster tells whether every node has chosen.
pub fn lint(sources: &Sources, cluster: Option<&Inventory>) -> Vec<Finding> {
    if sources.values.is_empty() {
        return unchosen(sources);
    }
    let mut findings = Vec::new();
    for root in &sources.values {
        for key in keys::unknown(root, &OPERATOR_VALUES) {
            let message = format!(
                "the chart has no such value, and helm passes over it without a word; {}",
                key.help
            );
            findings.push(Finding::warning(key.location, key.path, message));
        }
    }
    for (path, message) in WITHOUT_EFFECT.into_iter().filter(|_| !sources.cluster_policy) {
        // Setting the default says nothing.
        if let Some(value) = sources
            .value(path)
            .filter(|value| value.text() != Some("/run/nvidia/mps"))
        {
            findings.push(Finding::warning(value.location.clone(), path, message));
        }
    }
    strategy(sources, &mut findings);
    chosen_plugin(sources, cluster, &mut findings);
    chosen_mig_parted(sources, &mut findings);
    overridden(sources, &mut findings);
    findings
}

/// A key that looks like a file's name is one that nobody chooses.
fn unchosen(sources: &Sources) -> Vec<Finding> {
    let odd = |configuration: &&Configuration| {
        matches!(
            configuration.key.as_str(),
            "config" | "config.yaml" | "config.yml" | "config.json"
        )
    };
    let maps = sources.config_maps.iter().filter(|map| map.name.is_some());
    maps.flat_map(|map| &map.plugin)
        .filter(odd)
        .map(|configuration| {
            let key = &configuration.key;
            let message = format!(
                "the key is the configuration's name, and under the GPU Operator it is applied only where it is chosen: set devicePlugin.config.default={key}, or label nodes {DEVICE_PLUGIN_CONFIG}={key}; give lint the operator's values, too, to check that"
            );
            Finding::warning(configuration.location.clone(), format!("data[{key}]"), message)
        })
        .collect()
}

/// `mig.strategy`: an environment variable on every node, which beats the file of each.
fn strategy(sources: &Sources, findings: &mut Vec<Finding>) {
    let given = sources.value("mig.strategy");
    let default = if sources.cluster_policy {
        ""
    } else {
        DEFAULT_MIG_STRATEGY
    };
    let strategy = given.map_or(default, |value| value.text().unwrap_or_default());
    if let Some(value) = given
        && !["none", "single", "mixed", ""].contains(&strategy)
    {
        let message = format!(
            "{} is refused; write none, single or mixed, or \"\" to leave it to each node",
            value.quoted()
        );
        findings.push(Finding::error(value.location.clone(), "mig.strategy", message));
        return;
    }
    if strategy.is_empty() {
        return;
    }
    for configuration in sources.plugins() {
        let root = &configuration.root;
        let shared_by_mps = plugin::method(root).filter(|method| method.name == names::MPS);
        if let (Some(value), Some(mps), "mixed") = (given, shared_by_mps, strategy) {
            let message = format!(
                "the operator sets it on every node, and with mixed the device plugin ends where the configuration has MPS ({}): \"using --mig-strategy=mixed is not supported with MPS\"; set mig.strategy=\"\", and flags.migStrategy in each configuration",
                mps.value.location
            );
            findings.push(Finding::error(value.location.clone(), "mig.strategy", message));
            return;
        }
        let Some(own) = root.at("flags.migStrategy") else {
            continue;
        };
        // On a node without MIG, single is none.
        let alike = |own: &str| own == strategy || (own, strategy) == ("none", "single");
        if own.text().is_some_and(|own| !alike(own)) {
            let whose = match given {
                Some(value) => format!("mig.strategy {strategy} ({})", value.location),
                None => format!("mig.strategy {strategy}, the chart's default,"),
            };
            let message = format!(
                "has no effect: {whose} is an environment variable on every node and beats it; set mig.strategy=\"\""
            );
            let field = configuration.field("flags.migStrategy");
            findings.push(Finding::warning(own.location.clone(), field, message));
        }
    }
}

/// The `ConfigMap` that `devicePlugin.config` or `migManager.config` names; wrong ones are findings.
fn mounted<'s>(
    sources: &'s Sources,
    path: &str,
    holds: fn(&ConfigMap) -> &Vec<Configuration>,
    findings: &mut Vec<Finding>,
) -> Option<&'s ConfigMap> {
    let field = format!("{path}.name");
    let (name, value) = sources.word(&field)?;
    let candidates: Vec<&ConfigMap> = sources
        .config_maps
        .iter()
        .filter(|map| !holds(map).is_empty())
        .collect();
    let Some(map) = candidates.iter().find(|map| map.name.as_deref() == Some(name)) else {
        let others: Vec<&str> = candidates.iter().filter_map(|map| map.name.as_deref()).collect();
        if let Some(other) = spelling::nearest(name, others.iter().copied()).or(others.first().copied()) {
            let message = format!("`{name}` is none of the ConfigMaps in these files; did you mean {other}?");
            findings.push(Finding::warning(value.location.clone(), field, message));
        }
        // A file of its own may become the ConfigMap.
        return candidates.into_iter().find(|map| map.name.is_none());
    };
    let operator = &sources.operator_namespace;
    if let Some((namespace, at)) = map.namespace.as_ref().filter(|(namespace, _)| namespace != operator) {
        let message = format!(
            "the operator's pods mount {name} ({}) from their own namespace {operator}, and this one is in {namespace}, so they would hang in ContainerCreating; write namespace: {operator}, or say --operator-namespace {namespace} if the operator is there",
            value.location
        );
        findings.push(Finding::error(at.clone(), "metadata.namespace", message));
    }
    Some(map)
}

fn chosen_plugin(sources: &Sources, cluster: Option<&Inventory>, findings: &mut Vec<Finding>) {
    const PATH: &str = "devicePlugin.config";
    if let Some((name, value)) = sources
        .word("devicePlugin.config.name")
        .filter(|(name, _)| !is_mountable(name))
    {
        let message = format!(
            "the operator names a volume `{name}`, which takes no dot, at most 63 characters, and not `config`, so the API server refuses its DaemonSets; give the ConfigMap another name"
        );
        findings.push(Finding::error(
            value.location.clone(),
            "devicePlugin.config.name",
            message,
        ));
    }
    created(sources, PATH, findings);
    let map = mounted(sources, PATH, |map| &map.plugin, findings);
    let keys: Vec<&str> = map
        .into_iter()
        .flat_map(|map| &map.plugin)
        .map(|configuration| configuration.key.as_str())
        .filter(|key| !key.is_empty())
        .collect();
    let field = format!("{PATH}.default");
    match (sources.word(&format!("{PATH}.name")), sources.word(&field)) {
        (None, Some((_, default))) => {
            let message = "has no effect without devicePlugin.config.name; name the ConfigMap";
            findings.push(Finding::warning(default.location.clone(), field, message));
        }
        (Some(_), None) if cluster.is_some_and(drift::is_labelled) => {}
        (Some((_, name)), None) => {
            let key = match &keys[..] {
                [] => "KEY".to_owned(),
                [only] => (*only).to_owned(),
                several => format!("one of {}", several.join(", ")),
            };
            let message = format!(
                "no default: a node without the label {DEVICE_PLUGIN_CONFIG} gets an empty configuration and shares nothing; set devicePlugin.config.default={key}, or label each node {DEVICE_PLUGIN_CONFIG}={key}"
            );
            findings.push(Finding::warning(name.location.clone(), format!("{PATH}.name"), message));
        }
        (Some(_), Some((default, value))) if !keys.is_empty() && !keys.contains(&default) => {
            let message = format!(
                "`{default}` is no key of the ConfigMap, so the device plugin does not start on nodes without a label; its keys are {}",
                keys.join(", ")
            );
            findings.push(Finding::error(value.location.clone(), field, message));
        }
        _ => {}
    }
}

fn chosen_mig_parted(sources: &Sources, findings: &mut Vec<Finding>) {
    const PATH: &str = "migManager.config";
    let Some(map) = mounted(sources, PATH, |map| &map.mig_parted, findings) else {
        return;
    };
    if map.name.is_none() {
        return;
    }
    let Some(configuration) = map
        .mig_parted
        .iter()
        .find(|configuration| configuration.key == entries::FILE)
    else {
        if let Some(other) = map.mig_parted.first() {
            let message = format!("the MIG manager looks for the key {} alone; name it so", entries::FILE);
            let field = format!("data[{}]", other.key);
            findings.push(Finding::error(other.location.clone(), field, message));
        }
        return;
    };
    let default = sources.word(&format!("{PATH}.default"));
    let name = default.map_or(entries::ALL_DISABLED, |(default, _)| default);
    if !mig_parted::names(configuration).any(|known| known == name) {
        let at: &Location = default.map_or(&configuration.location, |(_, value)| &value.location);
        let message = format!(
            "`{name}`, which nodes without a label get, is no entry of {} ({}), so the MIG manager fails there; add it, such as {name}: [{{devices: all, mig-enabled: false}}]",
            entries::CONFIGS,
            configuration.location
        );
        findings.push(Finding::error(at.clone(), format!("{PATH}.default"), message));
    }
}

/// What the chart itself refuses, or does without a word.
fn created(sources: &Sources, path: &str, findings: &mut Vec<Finding>) {
    let create = sources.value(&format!("{path}.create"));
    let data = sources
        .value(&format!("{path}.data"))
        .filter(|data| !data.entries().is_empty());
    match (create.and_then(Value::flag), create, data) {
        (Some(true), Some(create), None) => {
            let message =
                format!("the chart refuses it without {path}.data; put the configurations there, or write false");
            findings.push(Finding::error(
                create.location.clone(),
                format!("{path}.create"),
                message,
            ));
        }
        (Some(true), Some(create), Some(_)) if sources.word(&format!("{path}.name")).is_none() => {
            let message = format!("the chart refuses it without {path}.name");
            findings.push(Finding::error(
                create.location.clone(),
                format!("{path}.create"),
                message,
            ));
        }
        (Some(false) | None, _, Some(data)) => {
            let message = format!("the chart makes a ConfigMap of it only with {path}.create: true");
            findings.push(Finding::warning(data.location.clone(), format!("{path}.data"), message));
        }
        _ => {}
    }
}

/// Flags in files that the operator sets on every node by environment variables.
fn overridden(sources: &Sources, findings: &mut Vec<Finding>) {
    // What the operator sets itself says nothing.
    let usual = |value: &Value| value.flag() == Some(true) || matches!(value.text(), Some("uuid" | "/run/nvidia/mps"));
    for configuration in sources.plugins() {
        for (path, variable) in names::SET_BY_OPERATOR {
            let Some(value) = configuration.root.at(path).filter(|value| !usual(value)) else {
                continue;
            };
            let message = format!(
                "has no effect under the operator, which sets {variable} on every node, and the environment beats the file; set it in devicePlugin.env"
            );
            findings.push(Finding::warning(
                value.location.clone(),
                configuration.field(path),
                message,
            ));
        }
    }
}
