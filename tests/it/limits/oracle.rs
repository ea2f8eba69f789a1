//! An independent oracle for limits: which limits apply to a pod, and whether a node keeps them.

use std::collections::BTreeSet;

use apportion_core::k8s::{LabelSelector, Operator};
use apportion_core::policy::{Limits, MemoryLimit};
use apportion_core::policy::{Mode, Policy};
use apportion_testing::Node;
use serde_json::Value;

use crate::generators::NAMESPACES;
use crate::oracle::{GpuRequest, Reading, effective, read};
use crate::properties::declared_memory;

/// A pod with its limits.
#[derive(Clone, Debug)]
pub struct LimitedPod {
    pub ask: GpuRequest,
    /// MiB that each share counts.
    memory: u64,
    limits: Limits,
    tenant: String,
}

fn selects(selector: &LabelSelector, label: impl Fn(&str) -> Option<String>) -> bool {
    selector.requirements.iter().all(|one| match one.operator {
        Operator::In => label(&one.key).is_some_and(|value| one.values.iter().any(|listed| **listed == *value)),
        Operator::Exists => label(&one.key).is_some(),
        other => panic!("not generated: {other:?}"),
    })
}

fn namespace_label(namespace: &str, key: &str) -> Option<String> {
    let (_, labels) = NAMESPACES.iter().find(|(name, _)| *name == namespace)?;
    let (_, value) = labels.iter().find(|(known, _)| *known == key)?;
    Some((*value).to_owned())
}

/// The policy that governs a pod of a known namespace: the one with the highest priority, then the
/// first by name.
fn governing_policy<'p>(policies: &'p [Policy], namespace: &str, pod: &Value) -> Option<&'p Policy> {
    let pod_label = |key: &str| pod["metadata"]["labels"][key].as_str().map(str::to_owned);
    let matching = policies.iter().filter(|policy| {
        namespace != "kube-system"
            && selects(&policy.namespaces, |key| namespace_label(namespace, key))
            && selects(&policy.pods, pod_label)
    });
    matching.min_by_key(|policy| (-i64::from(policy.priority), policy.name.as_str().to_owned()))
}

/// Whether no policy enforces limits for a pod of a known namespace.
pub fn is_ungoverned(policies: &[Policy], namespace: &str, pod: &Value) -> bool {
    governing_policy(policies, namespace, pod).is_none_or(|policy| policy.mode != Mode::Enforce)
}

/// The pod as its neighbors see it.
pub fn limited_pod(policies: &[Policy], namespace: &str, pod: &Value) -> LimitedPod {
    let policy = governing_policy(policies, namespace, pod).filter(|policy| policy.mode == Mode::Enforce);
    let limits = policy.map_or_else(Limits::default, |policy| policy.limits);
    let named = policy.and_then(|policy| {
        let key = policy.tenant_label.as_deref()?;
        let value = namespace_label(namespace, key).filter(|value| !value.is_empty())?;
        Some(format!("{key}={value}"))
    });
    let declared =
        declared_memory(pod).filter(|_| pod["metadata"]["annotations"]["apportion.dev/gpu-memory"] != "much");
    LimitedPod {
        ask: effective(pod),
        memory: declared.unwrap_or(limits.undeclared_memory.0),
        limits,
        tenant: named.unwrap_or_else(|| format!("/{namespace}")),
    }
}

/// The meaning of a resource on a node and its replicas, if it is shared.
fn shared(node: &Node, resource: &str) -> Option<(Reading, u64)> {
    let reading = read(node, resource).filter(|reading| matches!(reading.strategy, "mps" | "time-slicing"))?;
    let base = resource.strip_suffix(".shared").unwrap_or(resource);
    let replicas: u64 = node.labels[&format!("{base}.replicas")].parse().unwrap();
    Some((reading, replicas))
}

/// Whether the node can take the pod and keep the limits of all pods on it, or why not.
pub fn allows(node: &Node, there: &[LimitedPod], pod_request: &LimitedPod) -> Result<(), String> {
    let resources: BTreeSet<&String> = node.allocatable.keys().collect();
    let requests_shares = pod_request.ask.keys().any(|resource| shared(node, resource).is_some());
    if requests_shares {
        for resource in resources.iter().filter(|resource| shared(node, resource).is_some()) {
            for other in there.iter().filter(|other| other.ask.contains_key(*resource)) {
                if (other.limits.tenants_apart || pod_request.limits.tenants_apart)
                    && other.tenant != pod_request.tenant
                {
                    return Err(format!("{} is not {}", other.tenant, pod_request.tenant));
                }
            }
        }
    }
    for (resource, needs) in &pod_request.ask {
        let Some((reading, replicas)) = shared(node, resource) else {
            continue;
        };
        let gpus = (node.allocatable[resource] / replicas).max(1);
        let holders: Vec<&LimitedPod> = there.iter().filter(|other| other.ask.contains_key(resource)).collect();
        let all = || holders.iter().copied().chain([pod_request]);
        let held: u64 = holders.iter().map(|other| other.ask[resource]).sum();
        for most in all().filter_map(|pod| pod.limits.shares_per_gpu) {
            if held + needs > gpus * u64::from(most.get()) {
                return Err(format!("{held} + {needs} shares of {gpus} GPUs, {most} each"));
            }
        }
        if reading.strategy == "mps" {
            continue;
        }
        let nominal = || {
            let gigabytes = reading.profile.as_ref()?.split_once("g.")?.1.split_once("gb")?.0;
            Some(gigabytes.parse::<u64>().ok()? * 1024 * 88 / 100)
        };
        let gpu = reading.memory.or_else(nominal);
        let mut shares: Vec<u64> = all()
            .flat_map(|pod| std::iter::repeat_n(pod.memory, usize::try_from(pod.ask[resource]).unwrap()))
            .collect();
        shares.sort_unstable();
        for limit in all()
            .map(|pod| pod.limits.memory)
            .filter(|limit| *limit != MemoryLimit::Unchecked)
        {
            let Some(gpu) = gpu else {
                if pod_request.memory > 0 {
                    return Err("memory unknown".to_owned());
                }
                continue;
            };
            let meeting = match limit {
                MemoryLimit::PerGpu => usize::try_from(replicas).unwrap(),
                _ => shares.len(),
            };
            let sum: u64 = shares.iter().rev().take(meeting).sum();
            let has = if limit == MemoryLimit::PerGpu { gpu } else { gpu * gpus };
            if sum > has {
                return Err(format!("{limit:?}: {sum} of {has} MiB"));
            }
        }
    }
    Ok(())
}
