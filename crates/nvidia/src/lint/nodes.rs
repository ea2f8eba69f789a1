//! Compares the files with the nodes of a cluster: nodes without a label, nodes that have not
//! applied a change, and nodes whose GPUs cannot do what their configuration says.

use super::config_map::Configuration;
use super::device_plugin::sharing_method;
use super::mig_parted::{config_names, mig_devices};
use super::sources::Sources;
use crate::file_keys::{device_plugin, mig_parted};
use crate::plan::mig_fit;
use crate::yaml::LocatedValue;
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};
use apportion_core::gpu::names::{DEVICE_PLUGIN_CONFIG, MIG_CONFIG, MIG_CONFIG_STATE, gpu_label};
use apportion_core::gpu::strategy::max_mps_replicas;
use apportion_core::gpu::{GpuResource, Strategy};
use apportion_core::inventory::Inventory;
use apportion_core::inventory::node::NodeEntry;
use apportion_core::k8s::LabelSource as _;
use apportion_mig::lookup::model_of;
use apportion_mig::memory::MiB;
use apportion_mig::product::ProductLabel;

/// Checks every GPU node of a cluster that was read from `file`.
pub fn lint_nodes(sources: &Sources, inventory: &Inventory, file: &str) -> Vec<Finding> {
    let device_plugin_configs: Vec<&Configuration> = sources
        .device_plugin_configs()
        .filter(|configuration| !configuration.key.is_empty())
        .collect();
    let mig_parted_configs: Vec<&Configuration> = sources.mig_parted_configs().collect();
    let mut findings = Vec::new();
    for node in inventory.nodes().filter(|node| has_gpus(node)) {
        let mut messages = Vec::new();
        if !device_plugin_configs.is_empty() {
            messages.extend(check_device_plugin(sources, &device_plugin_configs, node));
        }
        if !mig_parted_configs.is_empty() {
            messages.extend(check_mig_parted(&mig_parted_configs, node));
        }
        let subject = format!("node {}", node.name);
        findings.extend(
            messages
                .into_iter()
                .map(|message| Finding::warning(Location::file(file), subject.clone(), message)),
        );
    }
    findings
}

/// Whether every GPU node has a label that selects its device plugin configuration.
pub(super) fn are_all_labelled(inventory: &Inventory) -> bool {
    let is_labelled = |node: &NodeEntry| {
        node.labels
            .label(DEVICE_PLUGIN_CONFIG)
            .is_some_and(|key| !key.is_empty())
    };
    inventory.nodes().filter(|node| has_gpus(node)).all(is_labelled)
}

fn has_gpus(node: &NodeEntry) -> bool {
    let offers = &node.offers;
    !offers.offers.is_empty() || !offers.problems.is_empty() || node.labels.label(gpu_label::PRODUCT).is_some()
}

/// Compares a node's device plugin configuration with its labels and its allocatable resources.
fn check_device_plugin(sources: &Sources, configurations: &[&Configuration], node: &NodeEntry) -> Vec<String> {
    let label = node.labels.label(DEVICE_PLUGIN_CONFIG).filter(|key| !key.is_empty());
    let default = sources.string_value("devicePlugin.config.default").map(|(key, _)| key);
    let keys = || configurations.iter().map(|configuration| configuration.key.as_str());
    let Some(key) = label.or(default) else {
        let keys: Vec<&str> = keys().collect();
        return vec![format!(
            "has no label {DEVICE_PLUGIN_CONFIG}, and no default is known, so it gets an empty configuration; set the label to one of {}",
            keys.join(", ")
        )];
    };
    let Some(configuration) = configurations.iter().find(|configuration| configuration.key == key) else {
        let help = spelling::nearest(key, keys()).map_or_else(
            || format!("its keys are {}", keys().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return vec![format!(
            "its configuration is `{key}`, a key that the ConfigMap does not have, so its config-manager fails repeatedly and the device plugin keeps the default; {help}"
        )];
    };
    ExpectedSharing::new(configuration).map_or_else(Vec::new, |expected| expected.compare(node))
}

/// How a configuration shares `nvidia.com/gpu`.
struct ExpectedSharing<'c> {
    configuration: &'c Configuration,
    strategy: &'static str,
    replicas: u64,
    renamed: bool,
}

impl<'c> ExpectedSharing<'c> {
    /// `None` if the configuration is invalid, which other checks report.
    fn new(configuration: &'c Configuration) -> Option<Self> {
        let unshared = ExpectedSharing {
            configuration,
            strategy: "none",
            replicas: 1,
            renamed: false,
        };
        let Some(method) = sharing_method(&configuration.root) else {
            return Some(unshared);
        };
        let is_gpu = |item: &&LocatedValue| {
            item.get("name")
                .and_then(LocatedValue::as_str)
                .is_some_and(|name| name == "gpu" || name.parse() == Ok(GpuResource::Gpu))
        };
        let Some(item) = method
            .value
            .get(device_plugin::RESOURCES)
            .and_then(|list| list.items().iter().find(is_gpu))
        else {
            return Some(unshared);
        };
        Some(ExpectedSharing {
            configuration,
            strategy: if method.name == device_plugin::MPS {
                Strategy::Mps
            } else {
                Strategy::TimeSlicing
            }
            .as_str(),
            replicas: u64::try_from(item.get("replicas")?.as_i64()?).ok()?,
            renamed: method
                .value
                .get(device_plugin::RENAME_BY_DEFAULT)
                .and_then(LocatedValue::as_bool)
                == Some(true),
        })
    }

    fn description(&self) -> String {
        match self.replicas {
            1 => "whole GPUs".to_owned(),
            replicas => format!("{} with {replicas} replicas", self.strategy),
        }
    }

    fn compare(&self, node: &NodeEntry) -> Vec<String> {
        if node.offers.reconfiguration.is_some() {
            return Vec::new();
        }
        let number = |key| node.labels.label(key).and_then(|text| text.parse::<u64>().ok());
        let Some(strategy) = node.labels.label(gpu_label::SHARING_STRATEGY) else {
            return Vec::new();
        };
        // 0 means that all GPUs of the node are partitioned, so none is offered as a whole.
        let Some(replicas) = number(gpu_label::REPLICAS).filter(|replicas| *replicas > 0) else {
            return Vec::new();
        };
        let key = &self.configuration.key;
        let location = &self.configuration.location;
        if (strategy, replicas) != (self.strategy, self.replicas) {
            return vec![format!(
                "its configuration `{key}` ({location}) says {}, but its labels say {strategy} with {replicas}; to apply a changed key, restart the node's device plugin and GPU feature discovery",
                self.description()
            )];
        }
        let mut messages = Vec::new();
        if let Some(label) = node.labels.label(gpu_label::PRODUCT) {
            let product = ProductLabel::parse(label).product;
            let most = max_mps_replicas(&product);
            if self.strategy == Strategy::Mps.as_str() && i64::try_from(self.replicas).is_ok_and(|count| count > most) {
                messages.push(format!(
                    "its configuration `{key}` ({location}) says {}, but the MPS daemon supports at most {most} on {product}",
                    self.description()
                ));
            }
        }
        let resource = if self.renamed {
            GpuResource::GpuShared
        } else {
            GpuResource::Gpu
        };
        match (node.offers.get(resource), number(gpu_label::COUNT)) {
            // With MIG devices on the node, some of its GPUs are not offered as whole GPUs.
            (Some(offer), Some(count)) if offer.total != count * self.replicas && !has_mig_devices(node) => messages.push(format!(
                "its configuration `{key}` ({location}) makes {} {resource} of {count} GPUs, but {} are allocatable: some are unhealthy, or a change is not applied yet",
                count * self.replicas,
                offer.total
            )),
            (None, _) if node.offers.problem(resource).is_none() => messages.push(format!(
                "its configuration `{key}` ({location}) makes {resource}, but none is allocatable"
            )),
            _ => {}
        }
        messages
    }
}

fn has_mig_devices(node: &NodeEntry) -> bool {
    let mut offers = node.offers.offers.iter();
    offers.any(|offer| matches!(offer.resource, GpuResource::Mig(_) | GpuResource::MigShared(_)))
}

/// Compares a node's MIG configuration with its labels and its allocatable resources.
fn check_mig_parted(configurations: &[&Configuration], node: &NodeEntry) -> Vec<String> {
    let Some(name) = node.labels.label(MIG_CONFIG).filter(|name| !name.is_empty()) else {
        return Vec::new();
    };
    let found = configurations
        .iter()
        .find_map(|configuration| configuration.root.get(mig_parted::CONFIGS)?.entry(name));
    let Some((key, entry)) = found else {
        let known: Vec<&str> = configurations
            .iter()
            .flat_map(|configuration| config_names(configuration))
            .collect();
        let help = spelling::nearest(name, known.iter().copied()).map_or_else(
            || format!("its configurations are {}", known.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return vec![format!(
            "its label {MIG_CONFIG} is `{name}`, which {} does not have, so the MIG manager fails there; {help}",
            mig_parted::CONFIGS
        )];
    };
    // Node labels do not describe GPUs with different layouts.
    let [item] = entry.items() else { return Vec::new() };
    let Some(devices) = mig_devices(item).filter(|devices| !devices.is_empty()) else {
        return Vec::new();
    };
    let number = |key| node.labels.label(key).and_then(|text| text.parse::<u64>().ok());
    if let Some(label) = node.labels.label(gpu_label::PRODUCT) {
        let product = ProductLabel::parse(label).product;
        let message = model_of(&product, number(gpu_label::MEMORY).map(MiB))
            .and_then(|model| mig_fit::unfit_message(model, &devices));
        if let Some(message) = message {
            return vec![format!(
                "its label {MIG_CONFIG} is `{name}` ({}): {message}",
                key.location
            )];
        }
    }
    let is_applied = node
        .labels
        .label(MIG_CONFIG_STATE)
        .is_none_or(|state| state == "success");
    let is_for_all_gpus = item.get(mig_parted::DEVICES).and_then(LocatedValue::as_str) == Some("all")
        && item.get(mig_parted::DEVICE_FILTER).is_none();
    let (true, true, Some(gpus)) = (is_applied, is_for_all_gpus, number(gpu_label::COUNT)) else {
        return Vec::new();
    };
    // With MIG strategy single the devices are nvidia.com/gpu, and the count is that of the
    // devices.
    if node.labels.label(gpu_label::MIG_SLICES).is_some() {
        return Vec::new();
    }
    let is_mixed = has_mig_devices(node);
    let mut messages = Vec::new();
    for (profile, count) in devices {
        let allocatable: u64 = node
            .offers
            .offers
            .iter()
            .filter(|offer| offer.resource.profile() == Some(profile))
            .map(|offer| offer.total / offer.replicas.max(1))
            .sum();
        if allocatable != count * gpus {
            let hint = if is_mixed { "" } else { "; is its MIG strategy mixed?" };
            messages.push(format!(
                "its label {MIG_CONFIG} is `{name}` ({}), which makes {} x {profile} on {gpus} GPUs, but {allocatable} are allocatable{hint}",
                key.location,
                count * gpus
            ));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::inventory::dump;

    const FILES: &str = "\
kind: ConfigMap
metadata: {name: plugin}
data:
  whole: |
    version: v1
    flags: {migStrategy: mixed}
  shares: |
    version: v1
    sharing: {mps: {renameByDefault: true, resources: [{name: nvidia.com/gpu, replicas: 20}]}}
---
kind: ConfigMap
metadata: {name: mig}
data:
  config.yaml: |
    version: v1
    mig-configs:
      sevenths: [{devices: all, mig-enabled: true, mig-devices: {1g.10gb: 7}}]
      all-disabled: [{devices: all, mig-enabled: false}]
";

    fn found(labels: &str, allocatable: &str) -> Vec<String> {
        let mut sources = Sources::default();
        sources.add("f.yaml", FILES).unwrap();
        let dump = format!(
            "kind: List\nitems:\n- {{kind: Node, metadata: {{name: bare}}}}\n- kind: Namespace\n  metadata: {{name: n}}\n- kind: Node\n  metadata: {{name: x, labels: {{{labels}}}}}\n  status: {{allocatable: {{{allocatable}}}}}\n"
        );
        lint_nodes(&sources, dump::read(&dump).unwrap().inventory(), "c.json")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn nodes_are_compared_with_their_files() {
        let t4 = "nvidia.com/gpu.product: Tesla-T4, nvidia.com/gpu.count: '2', nvidia.com/gpu.memory: '15360'";
        let a100 = "nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB, nvidia.com/gpu.count: '2', nvidia.com/gpu.memory: '81920', nvidia.com/gpu.sharing-strategy: none, nvidia.com/gpu.replicas: '0', nvidia.com/device-plugin.config: whole";
        let mps = "nvidia.com/gpu.sharing-strategy: mps, nvidia.com/gpu.replicas: '20'";
        let shares = "nvidia.com/device-plugin.config: shares";
        for (case, labels, allocatable, expected) in [
            (
                "all agree",
                format!("{t4}, {mps}, {shares}"),
                "nvidia.com/gpu.shared: 40",
                None,
            ),
            (
                "no label",
                format!("{t4}, {mps}"),
                "nvidia.com/gpu.shared: 40",
                Some("has no label nvidia.com/device-plugin.config, and no default is known"),
            ),
            (
                "an unknown key",
                format!("{t4}, {mps}, nvidia.com/device-plugin.config: share"),
                "nvidia.com/gpu.shared: 40",
                Some("and the device plugin keeps the default; did you mean shares?"),
            ),
            (
                "a change that is not applied",
                format!("{t4}, nvidia.com/gpu.sharing-strategy: time-slicing, nvidia.com/gpu.replicas: '4', {shares}"),
                "nvidia.com/gpu.shared: 8",
                Some("`shares` (f.yaml:7:3) says mps with 20 replicas, but its labels say time-slicing with 4"),
            ),
            (
                "too few allocatable",
                format!("{t4}, {mps}, {shares}"),
                "nvidia.com/gpu.shared: 20",
                Some("makes 40 nvidia.com/gpu.shared of 2 GPUs, but 20 are allocatable"),
            ),
            (
                "another resource name",
                format!("{t4}, {mps}, {shares}"),
                "nvidia.com/gpu: 40",
                Some("makes nvidia.com/gpu.shared, but none is allocatable"),
            ),
            (
                "too many for the product",
                format!("{}, {mps}, {shares}", t4.replace("Tesla-T4", "Tesla-V100-SXM2-16GB")),
                "nvidia.com/gpu.shared: 40",
                Some("at most 16 on Tesla-V100-SXM2-16GB"),
            ),
            (
                "partitioned as configured",
                format!(
                    "{a100}, nvidia.com/mig.config: sevenths, nvidia.com/mig-1g.10gb.sharing-strategy: none, nvidia.com/mig-1g.10gb.replicas: '1', nvidia.com/mig-1g.10gb.count: '14'"
                ),
                "nvidia.com/mig-1g.10gb: 14",
                None,
            ),
            (
                "partitioned differently",
                format!("{a100}, nvidia.com/mig.config: sevenths"),
                "nvidia.com/gpu: 0",
                Some("makes 14 x 1g.10gb on 2 GPUs, but 0 are allocatable; is its MIG strategy mixed?"),
            ),
            (
                "an unknown MIG configuration",
                format!("{a100}, nvidia.com/mig.config: seventh"),
                "nvidia.com/gpu: 0",
                Some("so the MIG manager fails there; did you mean sevenths?"),
            ),
            (
                "a MIG configuration for another product",
                format!(
                    "{}, nvidia.com/mig.config: sevenths",
                    a100.replace("80GB", "40GB").replace("81920", "40960")
                ),
                "nvidia.com/gpu: 0",
                Some("these do not fit on A100-40GB: 7 x 1g.10gb (ID 15): at most 4 fit on one GPU; write 1g.10gb: 4"),
            ),
        ] {
            let found = found(&labels, allocatable);
            match expected {
                None => assert_eq!(found, Vec::<String>::new(), "{case}"),
                Some(expected) => assert!(
                    found.len() == 1
                        && found[0].starts_with("c.json: warning: node x: ")
                        && found[0].contains(expected),
                    "{case}\n{found:#?}"
                ),
            }
        }
    }
}
