//! Pods with GPUs: what they request, where they are, and what their policy guarantees them.

use std::sync::Arc;

use jiff::Timestamp;

use super::node_usage::{PodRequest, PodRequestRef};
use super::scheduling_constraints::SchedulingConstraints;
use crate::gpu::Counts;
use crate::gpu::demand::{DemandError, declared_memory, effective_demand, gpu_containers};
use crate::gpu::{GpuBypass, PodDemand, gpu_bypasses};
use crate::k8s::{PackedLabels, Pod, Text};
use crate::policy::Guarantees;
use apportion_mig::memory::MiB;

/// A pod that holds GPUs or waits for them, with the guarantees of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEntry {
    pub record: PodRecord,
    pub guarantees: Arc<Guarantees>,
}

impl PodEntry {
    /// What the pod holds, or will hold once it is bound.
    pub fn request(&self) -> PodRequestRef<'_> {
        PodRequestRef {
            demand: &self.record.demand,
            memory: self.record.memory(),
            guarantees: &self.guarantees,
        }
    }

    /// An owned copy of [`PodEntry::request`].
    pub fn to_request(&self) -> PodRequest {
        PodRequest {
            demand: self.record.demand.clone(),
            memory: self.record.memory(),
            guarantees: Arc::clone(&self.guarantees),
        }
    }

    /// The node that the pod is bound to.
    pub fn node(&self) -> Option<&str> {
        match &self.record.placement {
            PodPlacement::Node(node) => Some(node),
            PodPlacement::Unscheduled => None,
        }
    }

    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.record.namespace, self.record.name)
    }
}

/// What the inventory keeps of a pod object with GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// The pod's effective request.
    pub demand: Counts,
    /// Memory that the pod declares for each share. Admission rejects values that it cannot parse,
    /// but annotations may change later.
    pub declared_memory: Result<Option<MiB>, Box<DemandError>>,
    /// `spec.priority`.
    pub priority: i32,
    /// Whether the pod is being deleted. It still holds its GPUs.
    pub terminating: bool,
    pub placement: PodPlacement,
    /// `status.nominatedNodeName`, while the pod is unscheduled. Boxed, because few pods have one.
    pub nominated_node: Option<Box<Text<'static>>>,
    /// What the pod says about itself.
    pub summary: Box<PodSummary>,
    /// `status.startTime`; `None` until the kubelet sets it, and if it cannot be parsed.
    pub start_time: Option<Timestamp>,
}

/// Where a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodPlacement {
    /// Bound to a node. The pod holds its devices until it has finished or its object is gone, so a
    /// terminating pod still holds them.
    Node(Box<str>),
    /// Not scheduled yet.
    Unscheduled,
}

impl PodRecord {
    /// The record of a pod, or `None` if the pod neither holds a GPU nor waits for one. Finished
    /// pods have released theirs.
    pub fn from_pod(pod: &Pod<'_>) -> Option<Self> {
        if pod.is_finished() {
            return None;
        }
        let placement = match pod.spec.assigned_node() {
            Some(node) => PodPlacement::Node(node.into()),
            // The scheduler skips pods that are being deleted.
            None if pod.metadata.deletion_timestamp.is_some() => return None,
            None => PodPlacement::Unscheduled,
        };
        let demand = effective_demand(pod);
        if demand.is_empty() {
            return None;
        }
        Some(PodRecord {
            namespace: pod.metadata.namespace.as_deref().unwrap_or("default").into(),
            name: pod.metadata.name.as_deref().unwrap_or_default().into(),
            demand,
            declared_memory: declared_memory(pod).map_err(Box::new),
            priority: pod.spec.priority.unwrap_or(0),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            summary: Box::new(PodSummary::from_pod(pod)),
            nominated_node: pod
                .nominated_node()
                .filter(|_| placement == PodPlacement::Unscheduled)
                .map(|node| Box::new(node.to_owned().into())),
            start_time: pod.status.start_time.as_deref().and_then(|time| time.parse().ok()),
            placement,
        })
    }

    /// Declared memory of each share; `None` also where the declaration cannot be parsed.
    pub fn memory(&self) -> Option<MiB> {
        self.declared_memory.as_ref().map_or(None, |memory| *memory)
    }

    pub fn is_bound(&self) -> bool {
        matches!(self.placement, PodPlacement::Node(_))
    }
}

/// What a pod says about itself, as far as policies look at it. Kept small, because every pod with
/// GPUs has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSummary {
    pub uid: Box<str>,
    pub labels: PackedLabels,
    /// Whether the pod mirrors a static pod, which the kubelet runs whatever the API server says.
    pub is_mirror: bool,
    /// What the containers request. Without declared memory, which concerns the pod and its node
    /// alone.
    pub demand: Result<PodDemand, Box<DemandError>>,
    /// Where the pod may run. Bound pods are kept without tolerations, which no longer matter.
    pub scheduling: SchedulingConstraints<'static>,
    /// Ways to GPUs that need no request.
    pub gpu_bypasses: Box<[GpuBypass]>,
}

impl PodSummary {
    pub fn from_pod(pod: &Pod<'_>) -> Self {
        let mut scheduling = SchedulingConstraints::from_pod(pod);
        if pod.spec.assigned_node().is_some() {
            scheduling.tolerations.clear();
        }
        let demand = gpu_containers(pod).map(|mut containers| {
            containers.shrink_to_fit();
            PodDemand {
                containers,
                memory: None,
            }
        });
        PodSummary {
            uid: pod.metadata.uid.as_deref().unwrap_or_default().into(),
            labels: PackedLabels::from(&pod.metadata.labels),
            is_mirror: pod.is_mirror(),
            demand: demand.map_err(Box::new),
            scheduling: scheduling.into_owned(),
            gpu_bypasses: gpu_bypasses(pod).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Pod};

    use super::*;

    #[test]
    fn bound_pods_hold_gpus_until_they_finish() {
        let unbound = || Pod::new("p").container(Container::new("c").limit("nvidia.com/gpu", "2"));
        let bound = || unbound().on_node("a");
        let on_a = Some(PodPlacement::Node("a".into()));
        for (case, pod, placement) in [
            ("running", bound().phase("Running"), on_a.clone()),
            ("bound and still pending", bound().phase("Pending"), on_a.clone()),
            ("terminating", bound().terminating(), on_a),
            ("succeeded", bound().phase("Succeeded"), None),
            ("failed", bound().phase("Failed"), None),
            ("unscheduled", unbound(), Some(PodPlacement::Unscheduled)),
            ("deleted before it was scheduled", unbound().terminating(), None),
            ("no GPU", Pod::new("p").on_node("a"), None),
        ] {
            let record = PodRecord::from_pod(&serde_json::from_str(&pod.to_string()).unwrap());
            assert_eq!(record.map(|record| record.placement), placement, "{case}");
        }
    }
}
