//! A borrowed view of a `v1.Pod`.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny};

use super::container::{Container, ContainerKind};
use super::preference::{PodAffinity, TopologySpread};
use super::quantity::RawQuantity;
use super::selector::{Operator, Requirement};
use super::taint::Toleration;
use super::text::{Pairs, Text, null_as_default};
use super::volume::Volume;

/// Marks a mirror pod: the API object of a static pod, which the kubelet runs whatever the API says.
/// `ConfigMirrorAnnotationKey` of Kubernetes' `pkg/kubelet/types`.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// A `v1.Pod`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Pod<'a> {
    /// Who it is.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    /// What is wanted.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: PodSpec<'a>,
    /// What is.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub status: PodStatus<'a>,
}

/// A `metav1.ObjectMeta`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Absent while a generated name is still to be made.
    #[serde(default, borrow)]
    pub name: Option<Text<'a>>,
    /// The prefix of a generated name.
    #[serde(default, borrow)]
    pub generate_name: Option<Text<'a>>,
    /// Where it lives; read it from the admission request instead, where there is one.
    #[serde(default, borrow)]
    pub namespace: Option<Text<'a>>,
    /// Given at creation, never reused.
    #[serde(default, borrow)]
    pub uid: Option<Text<'a>>,
    /// Changes with every write.
    #[serde(default, borrow)]
    pub resource_version: Option<Text<'a>>,
    /// Labels.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub labels: Pairs<'a>,
    /// Annotations. Anyone who may create a pod can write any of them: never trust one.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub annotations: Pairs<'a>,
    /// Set once the object is being deleted.
    #[serde(default, borrow)]
    pub deletion_timestamp: Option<Text<'a>>,
}

impl Metadata<'_> {
    /// `namespace/name`.
    pub fn key(&self) -> String {
        let text = |text: &Option<Text<'_>>| text.as_deref().unwrap_or_default().to_owned();
        format!("{}/{}", text(&self.namespace), text(&self.name))
    }

    /// The name, or the prefix that it will be generated from with a `*` behind it.
    pub fn display_name(&self) -> String {
        match (self.name.as_deref(), self.generate_name.as_deref()) {
            (Some(name), _) if !name.is_empty() => name.to_owned(),
            (_, Some(prefix)) if !prefix.is_empty() => format!("{prefix}*"),
            _ => "(unnamed)".to_owned(),
        }
    }
}

/// A `v1.PodSpec`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec<'a> {
    /// The main containers.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub containers: Vec<Container<'a>>,
    /// Init containers and sidecars, in the order of their start.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub init_containers: Vec<Container<'a>>,
    /// Containers that were added while it ran.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub ephemeral_containers: Vec<Container<'a>>,
    /// What containers can mount.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub volumes: Vec<Volume<'a>>,
    /// Whether it shares the processes of its node.
    #[serde(default, rename = "hostPID")]
    pub host_pid: Option<bool>,
    /// Whether it shares the shared memory of its node.
    #[serde(default, rename = "hostIPC")]
    pub host_ipc: Option<bool>,
    /// Labels that the node must have.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub node_selector: Pairs<'a>,
    /// Affinity; present and empty differ for a patch.
    #[serde(default, borrow)]
    pub affinity: Option<Affinity<'a>>,
    /// How it is to be spread.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub topology_spread_constraints: Vec<TopologySpread<'a>>,
    /// Taints that it accepts.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub tolerations: Vec<Toleration<'a>>,
    /// What the runtime class adds to the containers' requests.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub overhead: Pairs<'a, RawQuantity<'a>>,
    /// Who places it.
    #[serde(default, borrow)]
    pub scheduler_name: Option<Text<'a>>,
    /// The node that it is bound to.
    #[serde(default, borrow)]
    pub node_name: Option<Text<'a>>,
    /// How important it is beside others.
    #[serde(default)]
    pub priority: Option<i32>,
    /// `Never` for a pod that waits rather than evict.
    #[serde(default, borrow)]
    pub preemption_policy: Option<Text<'a>>,
}

/// A `v1.Affinity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Affinity<'a> {
    /// Node affinity.
    #[serde(default, borrow)]
    pub node_affinity: Option<NodeAffinity<'a>>,
    /// To be near other pods.
    #[serde(default)]
    pub pod_affinity: Option<PodAffinity>,
    /// To be away from them.
    #[serde(default)]
    pub pod_anti_affinity: Option<PodAffinity>,
}

/// A `v1.NodeAffinity`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeAffinity<'a> {
    /// The binding part.
    #[serde(default, borrow, rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector<'a>>,
    /// Preferences do not bind: which they are is the scheduler's to read, that there are some is ours.
    #[serde(
        default,
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "null_as_default"
    )]
    pub preferred: Vec<IgnoredAny>,
}

/// A `v1.NodeSelector`: a list of alternatives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector<'a> {
    /// The alternatives.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub node_selector_terms: Vec<NodeSelectorTerm<'a>>,
}

/// A `v1.NodeSelectorTerm`: all of its expressions hold, and an empty one matches no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelectorTerm<'a> {
    /// On labels. `None` when the key is missing or null, which a patch must know.
    #[serde(default, borrow, rename = "matchExpressions")]
    expressions: Option<Vec<Requirement<'a>>>,
    /// On fields.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub match_fields: Vec<Requirement<'a>>,
}

impl<'a> NodeSelectorTerm<'a> {
    /// A copy that owns its strings.
    pub fn into_owned(self) -> NodeSelectorTerm<'static> {
        let own = |list: Vec<Requirement<'a>>| list.into_iter().map(Requirement::into_owned).collect();
        NodeSelectorTerm {
            expressions: self.expressions.map(own),
            match_fields: own(self.match_fields),
        }
    }

    /// The requirements on labels.
    pub fn match_expressions(&self) -> &[Requirement<'a>] {
        self.expressions.as_deref().unwrap_or_default()
    }

    /// Whether the document holds a list of expressions, even an empty one.
    pub fn has_expression_list(&self) -> bool {
        self.expressions.is_some()
    }

    /// Whether the term has no expression at all, and so matches no node.
    pub fn is_empty(&self) -> bool {
        self.match_expressions().is_empty() && self.match_fields.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Requirement<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            key: Text<'a>,
            #[serde(borrow)]
            operator: Text<'a>,
            #[serde(default, borrow, deserialize_with = "null_as_default")]
            values: Vec<Text<'a>>,
        }
        let wire = Wire::deserialize(deserializer)?;
        let operator = Operator::parse(&wire.operator).ok_or_else(|| {
            D::Error::custom(format_args!(
                "`{}` is not an operator of a node selector; use In, NotIn, Exists, DoesNotExist, Gt or Lt",
                wire.operator
            ))
        })?;
        Ok(Requirement {
            key: wire.key,
            operator,
            values: wire.values,
        })
    }
}

/// A `v1.PodStatus`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus<'a> {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(default, borrow)]
    pub phase: Option<Text<'a>>,
    /// The node that the scheduler's own preemption makes room on for it.
    #[serde(default, borrow)]
    pub nominated_node_name: Option<Text<'a>>,
    /// When the kubelet took the pod up, RFC 3339.
    #[serde(default, borrow)]
    pub start_time: Option<Text<'a>>,
}

impl<'a> PodSpec<'a> {
    /// Every container that can ask for devices, with its kind and its place in its list.
    ///
    /// Ephemeral containers can not have resources (`ValidateEphemeralContainers` in Kubernetes).
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

    /// The containers above, and those that were added while it ran.
    pub fn all_containers(&self) -> impl Iterator<Item = (ContainerKind, usize, &Container<'a>)> {
        let ephemeral = self.ephemeral_containers.iter().enumerate();
        self.containers()
            .chain(ephemeral.map(|(at, c)| (ContainerKind::Ephemeral, at, c)))
    }

    /// A container by its kind and its place in its list.
    pub fn container(&self, kind: ContainerKind, index: usize) -> Option<&Container<'a>> {
        match kind {
            ContainerKind::Main => self.containers.get(index),
            ContainerKind::Init | ContainerKind::Sidecar => self.init_containers.get(index),
            ContainerKind::Ephemeral => self.ephemeral_containers.get(index),
        }
    }

    /// The alternatives of the required node affinity, if there is one.
    pub fn required_node_terms(&self) -> Option<&[NodeSelectorTerm<'a>]> {
        let required = self.affinity.as_ref()?.node_affinity.as_ref()?.required.as_ref()?;
        Some(&required.node_selector_terms)
    }

    /// Whether it waits rather than evict.
    pub fn never_preempts(&self) -> bool {
        self.preemption_policy.as_deref() == Some("Never")
    }

    /// The node that the pod is bound to.
    pub fn bound_to(&self) -> Option<&str> {
        self.node_name.as_deref().filter(|name| !name.is_empty())
    }
}

impl Pod<'_> {
    /// The node that the scheduler's own preemption makes room on for it.
    pub fn nominated_to(&self) -> Option<&str> {
        self.status
            .nominated_node_name
            .as_deref()
            .filter(|name| !name.is_empty())
    }

    /// Whether this is a static pod's mirror.
    pub fn is_mirror(&self) -> bool {
        self.metadata.annotations.get(MIRROR_ANNOTATION).is_some()
    }

    /// Whether it has run to its end. Such a pod holds no devices, even while its object stays.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_missing_parts_read_as_empty() {
        for json in [
            "{}",
            r#"{"metadata":null,"spec":null,"status":null}"#,
            r#"{"metadata":{"labels":null,"annotations":null},"spec":{"containers":null,"initContainers":null,"nodeSelector":null,"affinity":null,"tolerations":null,"overhead":null,"nodeName":null}}"#,
            r#"{"spec":{"affinity":{"nodeAffinity":null}}}"#,
            r#"{"spec":{"containers":[{"name":"c","resources":null},{"name":"d","resources":{"limits":null,"requests":null}}]}}"#,
        ] {
            let pod: Pod<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(pod.spec.required_node_terms().map(<[_]>::len), None, "{json}");
            assert!(
                !pod.is_mirror() && !pod.is_finished() && pod.spec.bound_to().is_none(),
                "{json}"
            );
        }
    }

    #[test]
    fn kinds_of_containers_are_told_apart() {
        let pod: Pod<'_> = serde_json::from_str(
            r#"{"spec":{"initContainers":[{"name":"a"},{"name":"b","restartPolicy":"Always"},{"name":"c","restartPolicy":"Never"}],"containers":[{"name":"d","restartPolicy":"Always"}]}}"#,
        )
        .unwrap();
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
    fn names_that_are_still_to_be_generated_are_shown_as_such() {
        let name = |json: &str| serde_json::from_str::<Metadata<'_>>(json).unwrap().display_name();
        assert_eq!(name(r#"{"name":"a"}"#), "a");
        assert_eq!(name(r#"{"generateName":"a-"}"#), "a-*");
        assert_eq!(name("{}"), "(unnamed)");
    }

    #[test]
    fn an_unknown_operator_is_named_with_its_remedy() {
        let error = serde_json::from_str::<Requirement<'_>>(r#"{"key":"a","operator":"Is"}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`Is`") && error.contains("use In, NotIn"), "{error}");
    }
}
