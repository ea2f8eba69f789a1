//! The simulated cluster: Apportion's own ledger for GPUs, plus CPU and memory.

use std::collections::BTreeMap;

use apportion_core::extender;
use apportion_core::extender::AnswerSize;
use apportion_core::inventory::{Inventory, Ledger, NodeEntry, PodRecord, Reserved};
use apportion_core::k8s::Labels;
use apportion_core::policy::OnUnknown;
use apportion_core::policy::PolicySet;
use serde_json::json;
use std::sync::Arc;

use super::arrivals::{Job, NAMESPACES};

/// How a node is chosen among those that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scoring {
    /// The node with the most free GPUs.
    Spread,
    /// kube-scheduler's default scoring plugins, which look at CPU and memory.
    InTree,
    /// The same, among the nodes that Apportion's filter returns.
    Apportion,
}

/// CPU cores and GiB of memory of a node.
#[derive(Clone, Copy, Debug)]
struct NodeResources {
    cpu: Capacity,
    memory: Capacity,
}

#[derive(Clone, Copy, Debug)]
struct Capacity {
    total: f64,
    used: f64,
}

impl Capacity {
    fn unused(total: f64) -> Self {
        Capacity { total, used: 0.0 }
    }

    fn free(self) -> f64 {
        self.total - self.used
    }
}

pub(crate) struct Cluster {
    ledger: Ledger,
    policies: Arc<PolicySet>,
    resources: BTreeMap<String, NodeResources>,
    names: Vec<String>,
    /// The node where the next search starts. Like kube-scheduler, each search starts one node
    /// further.
    next: usize,
}

/// GPUs per training node.
pub(crate) const GPUS_PER_TRAINING_NODE: u64 = 8;

impl Cluster {
    /// 20 nodes with 8 A100 for training, 12 nodes with 4 L40S in 4 time slices each, and 12 nodes
    /// with 4 T4 in 4 MPS shares each.
    pub(crate) fn new(policies: PolicySet) -> Self {
        let policies = Arc::new(policies);
        let mut ledger = Ledger::default();
        ledger.set_policies(Arc::clone(&policies));
        for (name, policy) in NAMESPACES {
            ledger.put_namespace(name, Labels::from_iter([("apportion.dev/policy", policy)]));
        }
        let mut resources = BTreeMap::new();
        let node_types = [
            (
                "a100",
                20,
                "NVIDIA-A100-SXM4-80GB",
                GPUS_PER_TRAINING_NODE,
                1,
                "none",
                (128.0, 1024.0),
            ),
            ("l40s", 12, "NVIDIA-L40S", 4, 4, "time-slicing", (48.0, 256.0)),
            ("t4", 12, "Tesla-T4", 4, 4, "mps", (48.0, 192.0)),
        ];
        for (prefix, count, product, gpus, replicas, strategy, (cpu, memory)) in node_types {
            for index in 0..count {
                let name = format!("{prefix}-{index:02}");
                let resource = if replicas == 1 {
                    "nvidia.com/gpu"
                } else {
                    "nvidia.com/gpu.shared"
                };
                let node = json!({
                    "metadata": {"name": name, "labels": {
                        "nvidia.com/gpu.product": product,
                        "nvidia.com/gpu.count": gpus.to_string(),
                        "nvidia.com/gpu.replicas": replicas.to_string(),
                        "nvidia.com/gpu.sharing-strategy": strategy,
                    }},
                    "status": {
                        "allocatable": {resource: (gpus * replicas).to_string()},
                        "conditions": [{"type": "Ready", "status": "True"}],
                    },
                });
                let text = node.to_string();
                if let Ok(node) = serde_json::from_str(&text) {
                    ledger.put_node(NodeEntry::new(node));
                }
                let node = NodeResources {
                    cpu: Capacity::unused(cpu),
                    memory: Capacity::unused(memory),
                };
                resources.insert(name, node);
            }
        }
        let names = resources.keys().cloned().collect();
        Cluster {
            ledger,
            policies,
            resources,
            names,
            next: 0,
        }
    }

    pub(crate) fn inventory(&self) -> &Inventory {
        self.ledger.inventory()
    }

    /// Places a job and returns its node, or `None` if it fits on no node.
    pub(crate) fn place(&mut self, id: usize, job: &Job, scoring: Scoring) -> anyhow::Result<Option<String>> {
        let count = self.names.len();
        let fitting: Vec<&str> = (0..count)
            .map(|offset| &*self.names[(self.next + offset) % count])
            .filter(|name| {
                let node = &self.resources[*name];
                node.cpu.free() >= job.cpu && node.memory.free() >= job.memory
            })
            .collect();
        self.next = (self.next + 1) % count;
        let request = json!({"Pod": pod(id, job, None), "NodeNames": fitting}).to_string();
        let args = serde_json::from_str(&request)?;
        let reserved = Reserved::default();
        let context = extender::ExtenderContext {
            policies: &self.policies,
            inventory: self.ledger.inventory(),
            reserved: &reserved,
            on_unknown: OnUnknown::Refuse,
        };
        let size = match scoring {
            Scoring::Apportion => AnswerSize::default(),
            Scoring::Spread | Scoring::InTree => AnswerSize::All,
        };
        let fitting = extender::filter(&args, &context, size, |result| {
            let names = result.node_names.as_deref().unwrap_or_default();
            names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
        });
        let mut best: Option<(f64, &String)> = None;
        for name in &fitting {
            let score = match scoring {
                Scoring::Spread => self.free_gpus(name),
                Scoring::InTree | Scoring::Apportion => self.in_tree_score(name, job),
            };
            if best.is_none_or(|(best_score, _)| score > best_score) {
                best = Some((score, name));
            }
        }
        let Some(node) = best.map(|(_, name)| name.clone()) else {
            return Ok(None);
        };
        self.change_usage(&node, job, 1.0);
        let text = pod(id, job, Some(&node)).to_string();
        self.ledger
            .put_pod(&key(id, job), PodRecord::from_pod(&serde_json::from_str(&text)?));
        Ok(Some(node))
    }

    pub(crate) fn remove(&mut self, id: usize, job: &Job, node: &str) {
        self.change_usage(node, job, -1.0);
        self.ledger.put_pod(&key(id, job), None);
    }

    fn change_usage(&mut self, node: &str, job: &Job, sign: f64) {
        if let Some(node) = self.resources.get_mut(node) {
            node.cpu.used += sign * job.cpu;
            node.memory.used += sign * job.memory;
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of devices")]
    fn free_gpus(&self, name: &str) -> f64 {
        let node = self.inventory().node(name);
        node.map_or(0.0, |node| {
            node.offers.offers.iter().map(|offer| node.free(offer) as f64).sum()
        })
    }

    /// The score of `NodeResourcesFit` (`LeastAllocated`) plus that of
    /// `NodeResourcesBalancedAllocation`, with their default weight 1 and resources CPU and memory
    /// (`pkg/scheduler/framework/plugins/noderesources`). The other default plugins score all nodes
    /// of this cluster equally.
    fn in_tree_score(&self, name: &str, job: &Job) -> f64 {
        let node = &self.resources[name];
        let cpu = (node.cpu.used + job.cpu) / node.cpu.total;
        let memory = (node.memory.used + job.memory) / node.memory.total;
        let least_allocated = 100.0 * ((1.0 - cpu) + (1.0 - memory)) / 2.0;
        // The standard deviation of two fractions is half their difference.
        let balanced = 100.0 * (1.0 - (cpu - memory).abs() / 2.0);
        least_allocated + balanced
    }
}

fn key(id: usize, job: &Job) -> String {
    format!("{}/p{id}", job.namespace)
}

fn pod(id: usize, job: &Job, node: Option<&str>) -> serde_json::Value {
    let strategy = match job.namespace {
        "training" => "none",
        namespace if namespace.starts_with("notebooks") => "time-slicing",
        _ => "mps",
    };
    json!({
        "metadata": {"name": format!("p{id}"), "namespace": job.namespace, "uid": id.to_string()},
        "spec": {
            "containers": [{"name": "c", "resources": {"limits": {job.resource: job.count.to_string()}}}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "nvidia.com/gpu.sharing-strategy", "operator": "In", "values": [strategy]},
            ]}]}}},
            "nodeName": node,
        },
    })
}
