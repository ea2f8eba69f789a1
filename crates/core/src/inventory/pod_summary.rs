//! What a pod says of itself, as far as a policy is held against it.

use super::scheduling_constraints::SchedulingConstraints;
use crate::gpu::demand::{DemandError, containers_of};
use crate::gpu::{GpuBypass, PodDemand, gpu_bypasses};
use crate::k8s::{PackedLabels, Pod};

/// What a pod says of itself. Kept for every pod with GPUs, so it is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSummary {
    /// Given at creation, never reused.
    pub uid: Box<str>,
    /// Its labels.
    pub labels: PackedLabels,
    /// Whether it is a static pod's mirror, which runs whatever the API says.
    pub is_mirror: bool,
    /// What its containers ask for. Without the memory that it declares: that is between the pod and its node.
    pub demand: Result<PodDemand, Box<DemandError>>,
    /// Where it may run. Of a pod that is on its node, without tolerations: they have been used.
    pub scheduling: SchedulingConstraints<'static>,
    /// Ways that it has to GPUs beside what it asks for.
    pub gpu_bypasses: Box<[GpuBypass]>,
}

impl PodSummary {
    /// That of `pod`.
    pub fn of(pod: &Pod<'_>) -> Self {
        let mut scheduling = SchedulingConstraints::of(pod);
        if pod.spec.bound_to().is_some() {
            scheduling.tolerations.clear();
        }
        let demand = containers_of(pod).map(|mut containers| {
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
