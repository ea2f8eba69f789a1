//! What we remember of a pod: what it holds or waits for, and where.

use jiff::Timestamp;

use super::pod_summary::PodSummary;
use crate::gpu::demand::{Demand, DemandError, declared_memory, effective_demand};
use crate::k8s::{Pod, Text};
use apportion_mig::memory::MiB;

/// A pod that holds GPUs or waits for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its effective request.
    pub demand: Demand,
    /// Memory that it declares for each share. Pods are admitted only where it can be read, but annotations may be changed later.
    pub declared: Result<Option<MiB>, Box<DemandError>>,
    /// `spec.priority`: who may be evicted for whom.
    pub priority: i32,
    /// Whether it is on its way out: it still holds what it has.
    pub leaving: bool,
    /// Where it is.
    pub place: PodPlacement,
    /// The node that the scheduler makes room on for it, while it waits. Few pods ever have one, so it is one pointer.
    pub nominated: Option<Box<Text<'static>>>,
    /// What it says of itself.
    pub summary: Box<PodSummary>,
    /// Since when the kubelet has it; `None` until then, and where that can not be read.
    pub started: Option<Timestamp>,
}

/// Where a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodPlacement {
    /// On a node, whose devices it holds until it is finished or its object is gone: one that is being deleted still holds.
    Node(Box<str>),
    /// Not yet scheduled.
    Waiting,
}

impl PodRecord {
    /// The record of a pod, or `None` when it neither holds a GPU nor waits for one: finished pods have given theirs back.
    pub fn of(pod: &Pod<'_>) -> Option<Self> {
        if pod.is_finished() {
            return None;
        }
        let place = match pod.spec.bound_to() {
            Some(node) => PodPlacement::Node(node.into()),
            // A pod that is deleted before it was scheduled will never be.
            None if pod.metadata.deletion_timestamp.is_some() => return None,
            None => PodPlacement::Waiting,
        };
        let demand = effective_demand(pod);
        if demand.is_empty() {
            return None;
        }
        Some(PodRecord {
            namespace: pod.metadata.namespace.as_deref().unwrap_or("default").into(),
            name: pod.metadata.name.as_deref().unwrap_or_default().into(),
            demand,
            declared: declared_memory(pod).map_err(Box::new),
            priority: pod.spec.priority.unwrap_or(0),
            leaving: pod.metadata.deletion_timestamp.is_some(),
            summary: Box::new(PodSummary::of(pod)),
            nominated: pod
                .nominated_to()
                .filter(|_| place == PodPlacement::Waiting)
                .map(|node| Box::new(node.to_owned().into())),
            started: pod.status.start_time.as_deref().and_then(|time| time.parse().ok()),
            place,
        })
    }
}

impl PodRecord {
    /// What of its declared memory somebody could be held to: nothing where it can not be read.
    pub fn memory(&self) -> Option<MiB> {
        self.declared.as_ref().map_or(None, |memory| *memory)
    }

    /// Whether it has a node.
    pub fn is_on_a_node(&self) -> bool {
        matches!(self.place, PodPlacement::Node(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> Option<PodRecord> {
        PodRecord::of(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn who_holds_and_who_waits() {
        let pod = |rest: &str| {
            format!(
                r#"{{"metadata":{{"namespace":"n","name":"p"}},"spec":{{"containers":[{{"resources":{{"limits":{{"nvidia.com/gpu":"2"}}}}}}]{rest}}}}}"#
            )
        };
        let with_status = |rest: &str, status: &str| {
            pod(rest).replace(r#""spec""#, &format!(r#""status":{{"phase":"{status}"}},"spec""#))
        };
        let deleted = |rest: &str| {
            pod(rest).replace(
                r#""name":"p""#,
                r#""name":"p","deletionTimestamp":"2026-01-01T00:00:00Z""#,
            )
        };
        let on_node = r#","nodeName":"a""#;
        for (case, json, place) in [
            (
                "running",
                with_status(on_node, "Running"),
                Some(PodPlacement::Node("a".into())),
            ),
            (
                "bound and still pending",
                with_status(on_node, "Pending"),
                Some(PodPlacement::Node("a".into())),
            ),
            ("terminating", deleted(on_node), Some(PodPlacement::Node("a".into()))),
            ("succeeded", with_status(on_node, "Succeeded"), None),
            ("failed", with_status(on_node, "Failed"), None),
            ("waiting", pod(""), Some(PodPlacement::Waiting)),
            ("deleted while it waited", deleted(""), None),
            ("no GPU", r#"{"spec":{"nodeName":"a"}}"#.to_owned(), None),
        ] {
            assert_eq!(record(&json).map(|r| r.place), place, "{case}");
        }
    }
}
