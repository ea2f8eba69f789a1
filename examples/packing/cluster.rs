//! The cluster that jobs are placed on: apportion's own ledger, with CPU and memory beside it.

use std::collections::BTreeMap;

use apportion_core::extender;
use apportion_core::extender::AnswerSize;
use apportion_core::inventory::{Inventory, Ledger, NodeEntry, PodRecord, Reserved};
use apportion_core::k8s::text::Labels;
use apportion_core::policy::PolicySet;
use apportion_core::policy::governance::OnUnknown;
use serde_json::json;
use std::sync::Arc;

use super::arrivals::{Job, NAMESPACES};

/// How nodes are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scoring {
    /// By the GPUs that are free: the emptiest node first.
    Spread,
    /// kube-scheduler's own plugins as they are set by default, which look at CPU and memory.
    InTree,
    /// The same among the nodes of apportion's short answer.
    Apportion,
}

/// A node's CPU and memory.
#[derive(Clone, Copy, Debug)]
struct Room {
    cpu: (f64, f64),
    memory: (f64, f64),
}

/// The cluster.
pub(crate) struct Cluster {
    ledger: Ledger,
    policies: Arc<PolicySet>,
    rooms: BTreeMap<String, Room>,
    names: Vec<String>,
    /// Where the search begins, as kube-scheduler goes on from node to node.
    next: usize,
}

/// GPUs of a training node.
pub(crate) const BIG: u64 = 8;

impl Cluster {
    /// 20 nodes with 8 A100 for training, 12 with 4 L40S in 4 time slices each, 12 with 4 T4 under MPS with 4 replicas each.
    pub(crate) fn new(policies: PolicySet) -> Self {
        let policies = Arc::new(policies);
        let mut ledger = Ledger::default();
        ledger.set_policies(Arc::clone(&policies));
        for (name, policy) in NAMESPACES {
            ledger.put_namespace(name, Labels::from_iter([("apportion.dev/policy", policy)]));
        }
        let mut rooms = BTreeMap::new();
        let kinds = [
            ("a100", 20, "NVIDIA-A100-SXM4-80GB", BIG, 1, "none", (128.0, 1024.0)),
            ("l40s", 12, "NVIDIA-L40S", 4, 4, "time-slicing", (48.0, 256.0)),
            ("t4", 12, "Tesla-T4", 4, 4, "mps", (48.0, 192.0)),
        ];
        for (kind, number, product, gpus, replicas, strategy, (cpu, memory)) in kinds {
            for at in 0..number {
                let name = format!("{kind}-{at:02}");
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
                    ledger.put_node(NodeEntry::of(node));
                }
                let room = Room {
                    cpu: (cpu, 0.0),
                    memory: (memory, 0.0),
                };
                rooms.insert(name, room);
            }
        }
        let names = rooms.keys().cloned().collect();
        Cluster {
            ledger,
            policies,
            rooms,
            names,
            next: 0,
        }
    }

    /// The inventory as it is now.
    pub(crate) fn inventory(&self) -> &Inventory {
        self.ledger.inventory()
    }

    /// Places a job. Returns the node, if one can hold it.
    pub(crate) fn place(&mut self, id: usize, job: &Job, scoring: Scoring) -> anyhow::Result<Option<String>> {
        let order = self.names.len();
        let fitting: Vec<&str> = (0..order)
            .map(|step| &*self.names[(self.next + step) % order])
            .filter(|name| {
                let room = &self.rooms[*name];
                room.cpu.0 - room.cpu.1 >= job.cpu && room.memory.0 - room.memory.1 >= job.memory
            })
            .collect();
        self.next = (self.next + 1) % order;
        let question = json!({"Pod": pod(id, job, None), "NodeNames": fitting}).to_string();
        let args = serde_json::from_str(&question)?;
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
                Scoring::Spread => self.free(name),
                Scoring::InTree | Scoring::Apportion => self.in_tree(name, job),
            };
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, name));
            }
        }
        let Some(node) = best.map(|(_, name)| name.clone()) else {
            return Ok(None);
        };
        self.change(&node, job, 1.0);
        let text = pod(id, job, Some(&node)).to_string();
        self.ledger
            .put_pod(&key(id, job), PodRecord::of(&serde_json::from_str(&text)?));
        Ok(Some(node))
    }

    /// A job has ended.
    pub(crate) fn end(&mut self, id: usize, job: &Job, node: &str) {
        self.change(node, job, -1.0);
        self.ledger.put_pod(&key(id, job), None);
    }

    fn change(&mut self, node: &str, job: &Job, sign: f64) {
        if let Some(room) = self.rooms.get_mut(node) {
            room.cpu.1 += sign * job.cpu;
            room.memory.1 += sign * job.memory;
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of devices")]
    fn free(&self, name: &str) -> f64 {
        let node = self.inventory().node(name);
        node.map_or(0.0, |node| {
            node.offers.offers.iter().map(|offer| node.free(offer) as f64).sum()
        })
    }

    /// `NodeResourcesFit` with `LeastAllocated` and `NodeResourcesBalancedAllocation`, each with weight 1, over CPU and memory: their
    /// defaults (`pkg/scheduler/framework/plugins/noderesources`). What else scores by default says the same of every node here.
    fn in_tree(&self, name: &str, job: &Job) -> f64 {
        let room = &self.rooms[name];
        let (cpu, memory) = (
            (room.cpu.1 + job.cpu) / room.cpu.0,
            (room.memory.1 + job.memory) / room.memory.0,
        );
        let least = 100.0 * ((1.0 - cpu) + (1.0 - memory)) / 2.0;
        // The standard deviation of two fractions is half of their difference.
        let balanced = 100.0 * (1.0 - (cpu - memory).abs() / 2.0);
        least + balanced
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
