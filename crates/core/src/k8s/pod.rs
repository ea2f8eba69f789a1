//! Pods.

use serde::Deserialize;

use super::affinity::{Affinity, NodeSelectorTerm, TopologySpreadConstraint};
use super::container::{Container, ContainerKind};
use super::metadata::Metadata;
use super::quantity::RawQuantity;
use super::taint::Toleration;
use super::text::{Pairs, Text, null_as_default};
use super::volume::Volume;

/// Marks a mirror pod: the API object of a static pod, which the kubelet runs from a file whatever
/// the API server says (`ConfigMirrorAnnotationKey` in Kubernetes' `pkg/kubelet/types`).
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// A `v1.Pod`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Pod<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: PodSpec<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub status: PodStatus<'a>,
}

/// A `v1.PodSpec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub containers: Vec<Container<'a>>,
    /// Init containers and sidecars, in the order in which they start.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub init_containers: Vec<Container<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub ephemeral_containers: Vec<Container<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub volumes: Vec<Volume<'a>>,
    #[serde(default, rename = "hostPID")]
    pub host_pid: Option<bool>,
    #[serde(default, rename = "hostIPC")]
    pub host_ipc: Option<bool>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub node_selector: Pairs<'a>,
    /// `None` if missing or null. A patch must then add the whole field.
    #[serde(default, borrow)]
    pub affinity: Option<Affinity<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub tolerations: Vec<Toleration<'a>>,
    /// What the `RuntimeClass` adds to the requests of the containers.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub overhead: Pairs<'a, RawQuantity<'a>>,
    #[serde(default, borrow)]
    pub scheduler_name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub node_name: Option<Text<'a>>,
    #[serde(default)]
    pub priority: Option<i32>,
    /// `Never` or `PreemptLowerPriority`.
    #[serde(default, borrow)]
    pub preemption_policy: Option<Text<'a>>,
}

/// A `v1.PodStatus`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus<'a> {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(default, borrow)]
    pub phase: Option<Text<'a>>,
    /// The node on which kube-scheduler preempts pods to make room for this one.
    #[serde(default, borrow)]
    pub nominated_node_name: Option<Text<'a>>,
    /// When the kubelet accepted the pod, RFC 3339.
    #[serde(default, borrow)]
    pub start_time: Option<Text<'a>>,
}

impl<'a> PodSpec<'a> {
    /// Every container that can request resources, with its kind and its index in its list.
    ///
    /// Ephemeral containers cannot (`ValidateEphemeralContainers` in Kubernetes).
    pub fn containers(&self) -> impl Iterator<Item = (ContainerKind, usize, &Container<'a>)> {
        let init = self
            .init_containers
            .iter()
            .enumerate()
            .map(|(at, c)| (c.init_kind(), at, c));
        let main = self
            .containers
            .iter()
            .enumerate()
            .map(|(at, c)| (ContainerKind::Main, at, c));
        init.chain(main)
    }

    /// [`containers`](Self::containers), followed by the ephemeral containers.
    pub fn all_containers(&self) -> impl Iterator<Item = (ContainerKind, usize, &Container<'a>)> {
        let ephemeral = self.ephemeral_containers.iter().enumerate();
        self.containers()
            .chain(ephemeral.map(|(at, c)| (ContainerKind::Ephemeral, at, c)))
    }

    pub fn container(&self, kind: ContainerKind, index: usize) -> Option<&Container<'a>> {
        match kind {
            ContainerKind::Main => self.containers.get(index),
            ContainerKind::Init | ContainerKind::Sidecar => self.init_containers.get(index),
            ContainerKind::Ephemeral => self.ephemeral_containers.get(index),
        }
    }

    /// `None` if the pod has no required node affinity.
    pub fn required_node_terms(&self) -> Option<&[NodeSelectorTerm<'a>]> {
        let required = self.affinity.as_ref()?.node_affinity.as_ref()?.required.as_ref()?;
        Some(&required.node_selector_terms)
    }

    /// Whether the pod itself prefers some nodes to others.
    pub fn has_preferences(&self) -> bool {
        let affinity = self.affinity.as_ref();
        let node = affinity.and_then(|affinity| Some(&affinity.node_affinity.as_ref()?.preferred));
        let pod_affinity = affinity.and_then(|affinity| Some(&affinity.pod_affinity.as_ref()?.preferred));
        let anti_affinity = affinity.and_then(|affinity| Some(&affinity.pod_anti_affinity.as_ref()?.preferred));
        let mut spreads = self.topology_spread_constraints.iter();
        [node, pod_affinity, anti_affinity]
            .into_iter()
            .flatten()
            .any(|list| !list.is_empty())
            || spreads.any(|spread| spread.when_unsatisfiable.as_deref() == Some("ScheduleAnyway"))
    }

    pub fn never_preempts(&self) -> bool {
        self.preemption_policy.as_deref() == Some("Never")
    }

    /// The node that the pod is assigned to; the API server accepts an empty name as none.
    pub fn assigned_node(&self) -> Option<&str> {
        self.node_name.as_deref().filter(|name| !name.is_empty())
    }
}

impl Pod<'_> {
    pub fn nominated_node(&self) -> Option<&str> {
        self.status
            .nominated_node_name
            .as_deref()
            .filter(|name| !name.is_empty())
    }

    pub fn is_mirror(&self) -> bool {
        self.metadata.annotations.get(MIRROR_ANNOTATION).is_some()
    }

    /// A finished pod holds no devices, even while its object still exists.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Pod};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn null_and_missing_fields_read_as_empty() {
        for json in [
            "{}",
            r#"{"metadata":null,"spec":null,"status":null}"#,
            r#"{"metadata":{"labels":null,"annotations":null},"spec":{"containers":null,"initContainers":null,"nodeSelector":null,"affinity":null,"tolerations":null,"overhead":null,"nodeName":null}}"#,
            r#"{"spec":{"affinity":{"nodeAffinity":null}}}"#,
            r#"{"spec":{"containers":[{"name":"c","resources":null},{"name":"d","resources":{"limits":null,"requests":null}}]}}"#,
        ] {
            let pod: super::Pod<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(pod.spec.required_node_terms().map(<[_]>::len), None, "{json}");
            assert!(
                !pod.is_mirror() && !pod.is_finished() && pod.spec.assigned_node().is_none(),
                "{json}"
            );
        }
    }

    #[test]
    fn container_kinds_follow_the_list_and_restart_policy() {
        let json = Pod::new("p")
            .init_container(Container::new("a"))
            .init_container(Container::new("b").sidecar())
            .init_container(Container::new("c").set("/restartPolicy", "Never"))
            .container(Container::new("d").sidecar())
            .to_string();
        let pod: super::Pod<'_> = serde_json::from_str(&json).unwrap();
        let kinds: Vec<_> = pod
            .spec
            .containers()
            .map(|(kind, at, c)| (kind, at, c.name.to_string()))
            .collect();
        assert_eq!(
            kinds,
            [
                (ContainerKind::Init, 0, "a".to_owned()),
                (ContainerKind::Sidecar, 1, "b".to_owned()),
                (ContainerKind::Init, 2, "c".to_owned()),
                (ContainerKind::Main, 0, "d".to_owned())
            ]
        );
    }

    #[test]
    fn preferred_terms_and_schedule_anyway_are_preferences() {
        let preferred = json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]});
        let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]});
        let with = |pointer: &str, value: &Value| Pod::new("p").set(pointer, value.clone());
        let spread = |policies: &[&str]| {
            let constraints: Vec<Value> = policies.iter().map(|p| json!({"whenUnsatisfiable": p})).collect();
            Pod::new("p").set("/spec/topologySpreadConstraints", constraints)
        };
        for (pod, prefers) in [
            (Pod::new("p"), false),
            (with("/spec/affinity/nodeAffinity", &preferred), true),
            (with("/spec/affinity/podAffinity", &preferred), true),
            (with("/spec/affinity/podAntiAffinity", &preferred), true),
            (with("/spec/affinity/podAntiAffinity", &required), false),
            (with("/spec/affinity/podAffinity", &Value::Null), false),
            (
                with(
                    "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution",
                    &Value::Null,
                ),
                false,
            ),
            (spread(&["DoNotSchedule", "ScheduleAnyway"]), true),
            (spread(&["DoNotSchedule"]), false),
        ] {
            let json = pod.to_string();
            let pod: super::Pod<'_> = serde_json::from_str(&json).unwrap();
            assert_eq!(pod.spec.has_preferences(), prefers, "{json}");
        }
    }
}
