//! The containers of a pod.

use serde::Deserialize;

use super::environment::{Variable, VariableSource};
use super::quantity::RawQuantity;
use super::text::{Pairs, Text, null_as_default};
use super::volume::VolumeMount;

/// Which of a pod's lists a container stands in, and what that means for when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerKind {
    /// `spec.containers`: all run together.
    Main,
    /// `spec.initContainers`: run one after the other, before the main ones.
    Init,
    /// `spec.initContainers` with `restartPolicy: Always`: starts in its turn and keeps running.
    Sidecar,
    /// `spec.ephemeralContainers`: added to a pod that runs, and without resources of its own.
    Ephemeral,
}

impl ContainerKind {
    /// The list of the pod's spec that it stands in.
    pub fn list(self) -> &'static str {
        match self {
            ContainerKind::Main => "containers",
            ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
            ContainerKind::Ephemeral => "ephemeralContainers",
        }
    }
}

/// A `v1.Container`, as far as it says what it asks for and what it can reach.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    /// Its name, unique within the pod.
    #[serde(default, borrow)]
    pub name: Text<'a>,
    /// What it asks for.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub resources: Resources<'a>,
    /// Its variables. Of two of one name the later counts.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub env: Vec<Variable<'a>>,
    /// Where more variables come from; those of `env` go before them.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub env_from: Vec<VariableSource<'a>>,
    /// What it sees of the pod's volumes.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub volume_mounts: Vec<VolumeMount<'a>>,
    /// What it may do.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub security_context: SecurityContext<'a>,
    #[serde(default, borrow)]
    restart_policy: Option<Text<'a>>,
}

/// A `v1.ResourceRequirements`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Resources<'a> {
    /// What the scheduler counts.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub requests: Pairs<'a, RawQuantity<'a>>,
    /// What the kubelet enforces; for extended resources equal to the requests.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub limits: Pairs<'a, RawQuantity<'a>>,
}

/// A `v1.SecurityContext`, as far as it opens the node.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SecurityContext<'a> {
    /// Whether it may do all that the node's root may.
    #[serde(default)]
    pub privileged: Option<bool>,
    /// What it may do beyond the usual.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub capabilities: Capabilities<'a>,
}

/// A `v1.Capabilities`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Capabilities<'a> {
    /// Those that are added.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub add: Vec<Text<'a>>,
}

impl Container<'_> {
    /// The kind of this container when it stands in `spec.initContainers`.
    pub(super) fn init_kind(&self) -> ContainerKind {
        match self.restart_policy.as_deref() {
            Some("Always") => ContainerKind::Sidecar,
            _ => ContainerKind::Init,
        }
    }
}
