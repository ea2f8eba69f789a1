//! What NVIDIA's files and a cluster do not say alike: nodes that were never labelled, that have not read a change, or that can
//! not do what their configuration says.

use super::mig_parted;
use super::plugin;
use super::source::{Configuration, Sources};
use super::tree::Value;
use crate::file_keys::{mig_parted as entries, plugin as names};
use crate::plan::layout;
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};
use apportion_core::gpu::names::{DEVICE_PLUGIN_CONFIG, MIG_CONFIG, MIG_CONFIG_STATE, gpu_label};
use apportion_core::gpu::replicas::most_mps_replicas;
use apportion_core::gpu::{GpuResource, Strategy};
use apportion_core::inventory::Inventory;
use apportion_core::inventory::node::NodeEntry;
use apportion_core::k8s::LabelSource as _;
use apportion_mig::geometry::model_of;
use apportion_mig::memory::MiB;
use apportion_mig::product::ProductLabel;

/// What is found, by node; the cluster was read from `file`.
pub fn lint(sources: &Sources, inventory: &Inventory, file: &str) -> Vec<Finding> {
    let plugins: Vec<&Configuration> = sources.plugins().filter(|c| !c.key.is_empty()).collect();
    let partitions: Vec<&Configuration> = sources.config_maps.iter().flat_map(|map| &map.mig_parted).collect();
    let mut findings = Vec::new();
    for node in inventory.nodes().filter(|node| has_gpus(node)) {
        let mut messages = Vec::new();
        if !plugins.is_empty() {
            messages.extend(of_plugin(sources, &plugins, node));
        }
        if !partitions.is_empty() {
            messages.extend(of_mig_parted(&partitions, node));
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

/// Whether every node with GPUs has a label that chooses its configuration.
pub fn is_labelled(inventory: &Inventory) -> bool {
    let chosen = |node: &NodeEntry| {
        node.labels
            .label(DEVICE_PLUGIN_CONFIG)
            .is_some_and(|key| !key.is_empty())
    };
    inventory.nodes().filter(|node| has_gpus(node)).all(chosen)
}

fn has_gpus(node: &NodeEntry) -> bool {
    let offers = &node.offers;
    !offers.offers.is_empty() || !offers.problems.is_empty() || node.labels.label(gpu_label::PRODUCT).is_some()
}

/// The device plugin's configuration of a node against its labels and what the kubelet says.
fn of_plugin(sources: &Sources, plugins: &[&Configuration], node: &NodeEntry) -> Vec<String> {
    let label = node.labels.label(DEVICE_PLUGIN_CONFIG).filter(|key| !key.is_empty());
    let default = sources.word("devicePlugin.config.default").map(|(key, _)| key);
    let Some(key) = label.or(default) else {
        let keys: Vec<&str> = plugins.iter().map(|configuration| configuration.key.as_str()).collect();
        return vec![format!(
            "has no label {DEVICE_PLUGIN_CONFIG}, and no default is known, so it gets an empty configuration; label it with one of {}",
            keys.join(", ")
        )];
    };
    let Some(configuration) = plugins.iter().find(|configuration| configuration.key == key) else {
        let keys = || plugins.iter().map(|configuration| configuration.key.as_str());
        let help = spelling::nearest(key, keys()).map_or_else(
            || format!("its keys are {}", keys().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return vec![format!(
            "its configuration is `{key}`, which is no key of the ConfigMap, so its config-manager ends with an error again and again, and the device plugin stays on the default; {help}"
        )];
    };
    Expected::of(configuration).map_or_else(Vec::new, |expected| expected.against(node))
}

/// What a configuration makes of `nvidia.com/gpu`.
struct Expected<'c> {
    configuration: &'c Configuration,
    strategy: &'static str,
    replicas: u64,
    renamed: bool,
}

impl<'c> Expected<'c> {
    /// `None` where it can not be read, which is found elsewhere.
    fn of(configuration: &'c Configuration) -> Option<Self> {
        let whole = Expected {
            configuration,
            strategy: "none",
            replicas: 1,
            renamed: false,
        };
        let Some(method) = plugin::method(&configuration.root) else {
            return Some(whole);
        };
        let gpus = |item: &&Value| {
            item.get("name")
                .and_then(Value::text)
                .is_some_and(|name| name == "gpu" || name.parse() == Ok(GpuResource::Gpu))
        };
        let Some(item) = method
            .value
            .get(names::RESOURCES)
            .and_then(|list| list.items().iter().find(gpus))
        else {
            return Some(whole);
        };
        Some(Expected {
            configuration,
            strategy: if method.name == names::MPS {
                Strategy::Mps
            } else {
                Strategy::TimeSlicing
            }
            .as_str(),
            replicas: u64::try_from(item.get("replicas")?.whole()?).ok()?,
            renamed: method.value.get(names::RENAME_BY_DEFAULT).and_then(Value::flag) == Some(true),
        })
    }

    fn words(&self) -> String {
        match self.replicas {
            1 => "whole GPUs".to_owned(),
            replicas => format!("{} with {replicas} replicas", self.strategy),
        }
    }

    fn against(&self, node: &NodeEntry) -> Vec<String> {
        if node.offers.paused.is_some() {
            return Vec::new();
        }
        let number = |key| node.labels.label(key).and_then(|text| text.parse::<u64>().ok());
        let Some(strategy) = node.labels.label(gpu_label::SHARING_STRATEGY) else {
            return Vec::new();
        };
        // 0: no GPU of the node is given as a GPU, since all are partitioned.
        let Some(replicas) = number(gpu_label::REPLICAS).filter(|replicas| *replicas > 0) else {
            return Vec::new();
        };
        let key = &self.configuration.key;
        let place = &self.configuration.location;
        if (strategy, replicas) != (self.strategy, self.replicas) {
            return vec![format!(
                "its configuration `{key}` ({place}) says {}, its labels say {strategy} with {replicas}; a changed key is read after a restart of the node's device plugin and GPU feature discovery alone",
                self.words()
            )];
        }
        let mut messages = Vec::new();
        if let Some(label) = node.labels.label(gpu_label::PRODUCT) {
            let product = ProductLabel::parse(label).product;
            let most = most_mps_replicas(&product);
            if self.strategy == Strategy::Mps.as_str() && i64::try_from(self.replicas).is_ok_and(|count| count > most) {
                messages.push(format!(
                    "its configuration `{key}` ({place}) says {}, and the MPS daemon takes at most {most} on {product}",
                    self.words()
                ));
            }
        }
        let resource = if self.renamed {
            GpuResource::GpuShared
        } else {
            GpuResource::Gpu
        };
        match (node.offers.get(resource), number(gpu_label::COUNT)) {
            // Beside MIG devices some of the GPUs are not given as GPUs.
            (Some(offer), Some(count)) if offer.total != count * self.replicas && !has_mig_devices(node) => messages.push(format!(
                "its configuration `{key}` ({place}) makes {} {resource} of {count} GPUs, and {} are allocatable: some are unhealthy, or a change is not read yet",
                count * self.replicas,
                offer.total
            )),
            (None, _) if node.offers.problem(resource).is_none() => messages.push(format!(
                "its configuration `{key}` ({place}) makes {resource}, and none is allocatable"
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

/// The entry of mig-parted's configuration of a node against the node.
fn of_mig_parted(partitions: &[&Configuration], node: &NodeEntry) -> Vec<String> {
    let Some(name) = node.labels.label(MIG_CONFIG).filter(|name| !name.is_empty()) else {
        return Vec::new();
    };
    let mut all = partitions.iter();
    let found = all.find_map(|configuration| configuration.root.get(entries::CONFIGS)?.entry(name));
    let Some((key, entry)) = found else {
        let known: Vec<&str> = partitions
            .iter()
            .flat_map(|configuration| mig_parted::names(configuration))
            .collect();
        let help = spelling::nearest(name, known.iter().copied()).map_or_else(
            || format!("its entries are {}", known.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return vec![format!(
            "its label {MIG_CONFIG} is `{name}`, which is no entry of {}, so the MIG manager fails there; {help}",
            entries::CONFIGS
        )];
    };
    // What differs from GPU to GPU can not be told from the labels of a node.
    let [item] = entry.items() else { return Vec::new() };
    let Some(devices) = mig_parted::devices(item).filter(|devices| !devices.is_empty()) else {
        return Vec::new();
    };
    let number = |key| node.labels.label(key).and_then(|text| text.parse::<u64>().ok());
    if let Some(label) = node.labels.label(gpu_label::PRODUCT) {
        let product = ProductLabel::parse(label).product;
        let objection =
            model_of(&product, number(gpu_label::MEMORY).map(MiB)).and_then(|model| layout::objection(model, &devices));
        if let Some(objection) = objection {
            return vec![format!(
                "its label {MIG_CONFIG} is `{name}` ({}): {objection}",
                key.location
            )];
        }
    }
    let settled = node
        .labels
        .label(MIG_CONFIG_STATE)
        .is_none_or(|state| state == "success");
    let all =
        item.get(entries::DEVICES).and_then(Value::text) == Some("all") && item.get(entries::DEVICE_FILTER).is_none();
    let (true, true, Some(gpus)) = (settled, all, number(gpu_label::COUNT)) else {
        return Vec::new();
    };
    // Under MIG strategy single the devices are nvidia.com/gpu, and the count is theirs.
    let mixed = has_mig_devices(node);
    let single = node.labels.label(gpu_label::MIG_SLICES).is_some();
    if single {
        return Vec::new();
    }
    let mut messages = Vec::new();
    for (profile, count) in devices {
        let there: u64 = node
            .offers
            .offers
            .iter()
            .filter(|offer| offer.resource.profile() == Some(profile))
            .map(|offer| offer.total / offer.replicas.max(1))
            .sum();
        if there != count * gpus {
            let hint = if mixed { "" } else { "; is its MIG strategy mixed?" };
            messages.push(format!(
                "its label {MIG_CONFIG} is `{name}` ({}), which makes {} x {profile} on {gpus} GPUs, and {there} are allocatable{hint}",
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
        lint(&sources, dump::read(&dump).unwrap().inventory(), "c.json")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_node_and_its_files_are_held_together() {
        let t4 = "nvidia.com/gpu.product: Tesla-T4, nvidia.com/gpu.count: '2', nvidia.com/gpu.memory: '15360'";
        let a100 = "nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB, nvidia.com/gpu.count: '2', nvidia.com/gpu.memory: '81920', nvidia.com/gpu.sharing-strategy: none, nvidia.com/gpu.replicas: '0', nvidia.com/device-plugin.config: whole";
        let mps = "nvidia.com/gpu.sharing-strategy: mps, nvidia.com/gpu.replicas: '20'";
        let shares = "nvidia.com/device-plugin.config: shares";
        for (case, labels, allocatable, words) in [
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
                "a wrong label",
                format!("{t4}, {mps}, nvidia.com/device-plugin.config: share"),
                "nvidia.com/gpu.shared: 40",
                Some("and the device plugin stays on the default; did you mean shares?"),
            ),
            (
                "a change not read",
                format!("{t4}, nvidia.com/gpu.sharing-strategy: time-slicing, nvidia.com/gpu.replicas: '4', {shares}"),
                "nvidia.com/gpu.shared: 8",
                Some("`shares` (f.yaml:7:3) says mps with 20 replicas, its labels say time-slicing with 4"),
            ),
            (
                "fewer than there should be",
                format!("{t4}, {mps}, {shares}"),
                "nvidia.com/gpu.shared: 20",
                Some("makes 40 nvidia.com/gpu.shared of 2 GPUs, and 20 are allocatable"),
            ),
            (
                "another name",
                format!("{t4}, {mps}, {shares}"),
                "nvidia.com/gpu: 40",
                Some("makes nvidia.com/gpu.shared, and none is allocatable"),
            ),
            (
                "too many for the product",
                format!("{}, {mps}, {shares}", t4.replace("Tesla-T4", "Tesla-V100-SXM2-16GB")),
                "nvidia.com/gpu.shared: 40",
                Some("at most 16 on Tesla-V100-SXM2-16GB"),
            ),
            (
                "partitioned as it says",
                format!(
                    "{a100}, nvidia.com/mig.config: sevenths, nvidia.com/mig-1g.10gb.sharing-strategy: none, nvidia.com/mig-1g.10gb.replicas: '1', nvidia.com/mig-1g.10gb.count: '14'"
                ),
                "nvidia.com/mig-1g.10gb: 14",
                None,
            ),
            (
                "partitioned otherwise",
                format!("{a100}, nvidia.com/mig.config: sevenths"),
                "nvidia.com/gpu: 0",
                Some("makes 14 x 1g.10gb on 2 GPUs, and 0 are allocatable; is its MIG strategy mixed?"),
            ),
            (
                "an entry that there is not",
                format!("{a100}, nvidia.com/mig.config: seventh"),
                "nvidia.com/gpu: 0",
                Some("so the MIG manager fails there; did you mean sevenths?"),
            ),
            (
                "an entry for another product",
                format!(
                    "{}, nvidia.com/mig.config: sevenths",
                    a100.replace("80GB", "40GB").replace("81920", "40960")
                ),
                "nvidia.com/gpu: 0",
                Some("7 x 1g.10gb do not fit on A100-40GB, which holds at most 4"),
            ),
        ] {
            let found = found(&labels, allocatable);
            match words {
                None => assert_eq!(found, Vec::<String>::new(), "{case}"),
                Some(words) => assert!(
                    found.len() == 1 && found[0].starts_with("c.json: warning: node x: ") && found[0].contains(words),
                    "{case}\n{found:#?}"
                ),
            }
        }
    }
}
