//! Nodes, with the labels that GPU feature discovery sets and the resources that NVIDIA's device
//! plugin registers.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// The resource name under which the device plugin registers shares (`renameByDefault` in its
/// configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `nvidia.com/gpu`; the product label ends in `-SHARED`.
    Same,
    /// `nvidia.com/gpu.shared`; the product label stays.
    Renamed,
}

impl Naming {
    /// The suffixes of the product label and of the resource name.
    fn suffixes(self) -> (&'static str, &'static str) {
        match self {
            Naming::Same => ("-SHARED", ""),
            Naming::Renamed => ("", ".shared"),
        }
    }
}

/// A node. `Display` prints its JSON.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub allocatable: BTreeMap<String, u64>,
    pub taints: Vec<Value>,
}

impl Node {
    /// A node with labels such as `gpu.count=8 gpu.replicas=1` and allocatable such as `gpu=8`,
    /// both under `nvidia.com/`.
    pub fn new(name: &str, labels: &str, allocatable: &str) -> Self {
        let pairs = |text: &str| {
            text.split_whitespace()
                .map(|pair| pair.split_once('=').unwrap())
                .map(|(key, value)| (format!("nvidia.com/{key}"), value.to_owned()))
                .collect::<Vec<_>>()
        };
        let allocatable = pairs(allocatable)
            .into_iter()
            .map(|(key, count)| (key, count.parse().unwrap()));
        Node {
            name: name.to_owned(),
            labels: pairs(labels).into_iter().collect(),
            allocatable: allocatable.collect(),
            taints: Vec::new(),
        }
    }

    /// GPUs without sharing. `memory` is in MiB, as in all of these constructors.
    pub fn whole(product: &str, gpus: u64, memory: u64) -> Self {
        let labels = format!(
            "gpu.product={product} gpu.count={gpus} gpu.replicas=1 gpu.sharing-strategy=none gpu.memory={memory}"
        );
        Node::new("whole", &labels, &format!("gpu={gpus}"))
    }

    /// GPUs with `replicas` shares each, by `strategy` (`mps` or `time-slicing`).
    pub fn shared(product: &str, (gpus, replicas): (u64, u64), memory: u64, strategy: &str, naming: Naming) -> Self {
        let (suffix, shared) = naming.suffixes();
        let labels = format!(
            "gpu.product={product}{suffix} gpu.count={gpus} gpu.replicas={replicas} gpu.sharing-strategy={strategy} gpu.memory={memory}"
        );
        Node::new("shared", &labels, &format!("gpu{shared}={}", gpus * replicas))
    }

    /// MIG devices under strategy `single`, where `nvidia.com/gpu` is a MIG device.
    pub fn mig_single(product: &str, profile: &str, devices: u64, memory: u64) -> Self {
        let labels = format!(
            "gpu.product={product}-MIG-{profile} gpu.count={devices} gpu.replicas=1 gpu.sharing-strategy=none gpu.memory={memory} gpu.slices.gi=1 mig.strategy=single"
        );
        Node::new("single", &labels, &format!("gpu={devices}"))
    }

    /// MIG devices of one profile on all GPUs, under strategy `mixed`. A profile is written as in a
    /// resource name.
    pub fn mig_mixed(product: &str, profile: &str, devices: u64, memory: u64) -> Self {
        Node::new("mixed", &Node::all_in_mig(product), "gpu=0").with_mig(product, profile, devices, memory)
    }

    /// MIG devices under strategy `mixed`, each shared by time-slicing.
    pub fn mig_time_sliced(product: &str, profile: &str, (devices, replicas): (u64, u64), naming: Naming) -> Self {
        let (suffix, shared) = naming.suffixes();
        let key = format!("mig-{profile}");
        let labels = format!(
            "{key}.product={product}-MIG-{profile}{suffix} {key}.count={devices} {key}.replicas={replicas} {key}.sharing-strategy=time-slicing {key}.memory=9728"
        );
        let slices = Node::new("", &labels, &format!("{key}{shared}={}", devices * replicas));
        Node::new("mixed", &Node::all_in_mig(product), "gpu=0").merge(slices)
    }

    fn all_in_mig(product: &str) -> String {
        format!(
            "gpu.product={product} gpu.count=8 gpu.replicas=0 gpu.sharing-strategy=none gpu.memory=81920 mig.strategy=mixed"
        )
    }

    /// Adds MIG devices under strategy `mixed`.
    #[must_use]
    pub fn with_mig(self, product: &str, profile: &str, devices: u64, memory: u64) -> Self {
        let key = format!("mig-{profile}");
        let labels = format!(
            "{key}.product={product}-MIG-{profile} {key}.count={devices} {key}.replicas=1 {key}.sharing-strategy=none {key}.memory={memory}"
        );
        self.merge(Node::new("", &labels, &format!("{key}={devices}")))
    }

    fn merge(mut self, other: Node) -> Self {
        self.labels.extend(other.labels);
        self.allocatable.extend(other.allocatable);
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets a label, by its full key.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Removes a label, by its full key.
    #[must_use]
    pub fn without_label(mut self, key: &str) -> Self {
        self.labels.remove(key);
        self
    }

    /// Adds a taint with key `mark` and no value.
    #[must_use]
    pub fn taint(mut self, effect: &str) -> Self {
        self.taints.push(json!({"key": "mark", "effect": effect}));
        self
    }

    /// The object as the API server returns it.
    pub fn to_json(&self) -> Value {
        let allocatable: BTreeMap<&String, String> = self.allocatable.iter().map(|(k, v)| (k, v.to_string())).collect();
        json!({
            "metadata": {"name": self.name, "labels": self.labels, "managedFields": [{"manager": "kubelet"}]},
            "spec": {"taints": self.taints},
            "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
        })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

/// Eight A100 80GB without sharing.
pub fn a100() -> Node {
    Node::whole("NVIDIA-A100-SXM4-80GB", 8, 81920).named("a100")
}

/// Eight A100 80GB as 56 MIG devices `1g.10gb`, under strategy `mixed`.
pub fn a100_mig_mixed() -> Node {
    Node::mig_mixed("NVIDIA-A100-SXM4-80GB", "1g.10gb", 56, 9728).named("a100-mixed")
}

/// Eight A100 80GB as 56 MIG devices `1g.10gb`, under strategy `single`.
pub fn a100_mig_single() -> Node {
    Node::mig_single("NVIDIA-A100-SXM4-80GB", "1g.10gb", 56, 9728).named("a100-single")
}

/// Four T4 with four shares each, registered as `nvidia.com/gpu`.
pub fn t4(strategy: &str) -> Node {
    Node::shared("Tesla-T4", (4, 4), 15360, strategy, Naming::Same).named(format!("t4-{strategy}"))
}

/// Four T4 with four shares each, registered as `nvidia.com/gpu.shared`.
pub fn t4_renamed(strategy: &str) -> Node {
    Node::shared("Tesla-T4", (4, 4), 15360, strategy, Naming::Renamed).named(format!("t4-{strategy}"))
}

/// Four V100 with four MPS shares each, registered as `nvidia.com/gpu`.
pub fn v100() -> Node {
    Node::shared("Tesla-V100-SXM2-16GB", (4, 4), 16384, "mps", Naming::Same).named("v100")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_registered_under_the_name_that_the_plugin_is_configured_for() {
        let (same, renamed) = (t4("mps"), t4_renamed("mps"));
        assert_eq!(same.labels["nvidia.com/gpu.product"], "Tesla-T4-SHARED");
        assert_eq!(same.allocatable["nvidia.com/gpu"], 16);
        assert_eq!(renamed.labels["nvidia.com/gpu.product"], "Tesla-T4");
        assert_eq!(renamed.allocatable["nvidia.com/gpu.shared"], 16);
    }

    #[test]
    fn mixed_mig_keeps_its_whole_gpu_labels_and_has_no_whole_gpus() {
        let node = a100_mig_mixed();
        assert_eq!(node.labels["nvidia.com/gpu.product"], "NVIDIA-A100-SXM4-80GB");
        assert_eq!(node.allocatable["nvidia.com/gpu"], 0);
        assert_eq!(node.allocatable["nvidia.com/mig-1g.10gb"], 56);
    }
}
