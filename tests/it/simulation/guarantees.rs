//! The nodes and policies of the simulated cluster, and an independent check of what the policies
//! guarantee.

use super::api_server::Object;
use super::random::Random;

/// A node. `memory` is in MiB per GPU.
pub struct SimulatedNode {
    pub name: &'static str,
    pub resource: &'static str,
    pub sharing: &'static str,
    pub gpus: u64,
    pub replicas: u64,
    pub memory: u64,
}

pub const NODES: [SimulatedNode; 4] = [
    SimulatedNode {
        name: "s-1",
        resource: "nvidia.com/gpu.shared",
        sharing: "time-slicing",
        gpus: 2,
        replicas: 4,
        memory: 16384,
    },
    SimulatedNode {
        name: "s-2",
        resource: "nvidia.com/gpu.shared",
        sharing: "time-slicing",
        gpus: 1,
        replicas: 4,
        memory: 16384,
    },
    SimulatedNode {
        name: "p-1",
        resource: "nvidia.com/gpu.shared",
        sharing: "mps",
        gpus: 2,
        replicas: 4,
        memory: 16384,
    },
    SimulatedNode {
        name: "x-1",
        resource: "nvidia.com/gpu",
        sharing: "none",
        gpus: 3,
        replicas: 1,
        memory: 81920,
    },
];

impl SimulatedNode {
    pub fn json(&self) -> String {
        let SimulatedNode {
            name,
            resource,
            sharing,
            gpus,
            replicas,
            memory,
        } = self;
        let total = gpus * replicas;
        format!(
            r#"{{"metadata":{{"name":"{name}","labels":{{"nvidia.com/gpu.product":"NVIDIA-L4","nvidia.com/gpu.count":"{gpus}","nvidia.com/gpu.replicas":"{replicas}","nvidia.com/gpu.sharing-strategy":"{sharing}","nvidia.com/gpu.memory":"{memory}"}}}},"status":{{"allocatable":{{"{resource}":"{total}"}},"conditions":[{{"type":"Ready","status":"True"}}]}}}}"#
        )
    }
}

/// Namespaces: name, policy, team.
pub const NAMESPACES: [(&str, &str, &str); 5] = [
    ("red-slices", "slices", "red"),
    ("blue-slices", "slices", "blue"),
    ("red-mps", "mps", "red"),
    ("blue-mps", "mps", "blue"),
    ("red-whole", "whole", "red"),
];

/// What a policy guarantees to its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyGuarantee {
    pub name: &'static str,
    strategy: &'static str,
    most: Option<u64>,
    memory: &'static str,
    undeclared: u64,
    apart: bool,
}

/// The guarantees of all policies at one time.
pub type GuaranteeSet = Vec<PolicyGuarantee>;

pub fn any(random: &mut Random) -> GuaranteeSet {
    let most = |random: &mut Random| *random.one_of(&[None, Some(1), Some(2), Some(3)]);
    vec![
        PolicyGuarantee {
            name: "slices",
            strategy: "time-slicing",
            most: most(random),
            memory: random.one_of::<&str>(&["Unchecked", "Total", "PerGPU"]),
            undeclared: *random.one_of(&[0, 2, 4]),
            apart: random.percent(60),
        },
        PolicyGuarantee {
            name: "mps",
            strategy: "mps",
            most: most(random),
            memory: "Unchecked",
            undeclared: 0,
            apart: random.percent(60),
        },
        PolicyGuarantee {
            name: "whole",
            strategy: "exclusive",
            most: None,
            memory: "Unchecked",
            undeclared: 0,
            apart: false,
        },
    ]
}

impl PolicyGuarantee {
    pub fn text(&self) -> String {
        let mut limits = Vec::new();
        limits.extend(self.most.map(|most| format!("sharesPerGPU: {most}")));
        if self.memory != "Unchecked" {
            limits.push(format!("memory: {}", self.memory));
            limits.push(format!("undeclaredMemory: {}Gi", self.undeclared));
        }
        if self.apart {
            limits.push("tenants: Apart".to_owned());
        }
        if self.strategy != "exclusive" {
            limits.push("tenantLabel: example.com/team".to_owned());
        }
        format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {}}}\nspec:\n  strategies: [{{strategy: {}}}]\n  limits: {{{}}}\n",
            self.name,
            self.strategy,
            limits.join(", ")
        )
    }
}

fn policy_and_team(pod: &Object) -> (&'static str, &'static str) {
    let found = NAMESPACES.iter().find(|(name, ..)| *name == pod.namespace).unwrap();
    (found.1, found.2)
}

fn promise<'p>(promises: &'p GuaranteeSet, pod: &Object) -> &'p PolicyGuarantee {
    promises
        .iter()
        .find(|promise| promise.name == policy_and_team(pod).0)
        .unwrap()
}

/// Why these pods cannot be on a node together, if they cannot.
pub fn broken(promises: &GuaranteeSet, machine: &SimulatedNode, pods: &[&Object]) -> Option<String> {
    let name = machine.name;
    let shares: u64 = pods.iter().map(|pod| pod.count).sum();
    if shares > machine.gpus * machine.replicas {
        return Some(format!("{name}: {shares} of {} taken", machine.gpus * machine.replicas));
    }
    if machine.sharing == "none" {
        return None;
    }
    let each = || pods.iter().map(|pod| promise(promises, pod));
    if let Some(most) = each().filter_map(|promise| promise.most).min()
        && shares > most * machine.gpus
    {
        return Some(format!(
            "{name}: {shares} shares of {} GPUs, {most} allowed",
            machine.gpus
        ));
    }
    if each().any(|promise| promise.apart)
        && pods
            .iter()
            .any(|pod| policy_and_team(pod).1 != policy_and_team(pods[0]).1)
    {
        return Some(format!("{name}: two tenants"));
    }
    if machine.sharing != "time-slicing" {
        return None;
    }
    let mut memory: Vec<u64> = Vec::new();
    for pod in pods {
        let declared = pod.memory.unwrap_or(promise(promises, pod).undeclared) * 1024;
        memory.extend((0..pod.count).map(|_| declared));
    }
    memory.sort_unstable_by(|a, b| b.cmp(a));
    let sum: u64 = memory.iter().sum();
    let top: u64 = memory.iter().take(usize::try_from(machine.replicas).unwrap()).sum();
    if each().any(|promise| promise.memory == "PerGPU") && top > machine.memory {
        return Some(format!("{name}: {top} MiB may meet on a GPU of {}", machine.memory));
    }
    // The strictest limit counts, and PerGPU implies Total.
    if each().any(|promise| promise.memory == "Total")
        && !each().any(|promise| promise.memory == "PerGPU")
        && sum > machine.memory * machine.gpus
    {
        return Some(format!("{name}: {sum} MiB of {}", machine.memory * machine.gpus));
    }
    None
}

/// Whether the node can take the pod in addition to these.
pub fn could_take(promises: &GuaranteeSet, machine: &SimulatedNode, pods: &[&Object], pod: &Object) -> bool {
    let share = if machine.sharing == "mps" {
        machine.memory / machine.replicas
    } else {
        machine.memory
    };
    let strategy = match machine.sharing {
        "none" => "exclusive",
        other => other,
    };
    let mut together = pods.to_vec();
    together.push(pod);
    machine.resource == pod.resource
        && promise(promises, pod).strategy == strategy
        && pod.memory.is_none_or(|memory| memory * 1024 <= share)
        && broken(promises, machine, &together).is_none()
}

/// Keeps `undeclaredMemory` through changes, because running pods keep counting with it.
pub fn keep_assumptions(next: &mut GuaranteeSet, first: &GuaranteeSet) {
    for (next, first) in next.iter_mut().zip(first) {
        next.undeclared = first.undeclared;
    }
}
