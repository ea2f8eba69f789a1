//! The containers of a pod.

use serde::Deserialize;

use super::quantity::RawQuantity;
use super::text::{Pairs, Text, null_as_default};

/// Which of a pod's three lists a container stands in, and what that means for when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerKind {
    /// `spec.containers`: all run together.
    Main,
    /// `spec.initContainers`: run one after the other, before the main ones.
    Init,
    /// `spec.initContainers` with `restartPolicy: Always`: starts in its turn and keeps running.
    Sidecar,
}

/// A `v1.Container`, as far as it says what it asks for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Container<'a> {
    /// Its name, unique within the pod.
    #[serde(default, borrow)]
    pub name: Text<'a>,
    /// What it asks for.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub resources: Resources<'a>,
    #[serde(default, borrow, rename = "restartPolicy")]
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

impl Container<'_> {
    /// The kind of this container when it stands in `spec.initContainers`.
    pub(super) fn init_kind(&self) -> ContainerKind {
        match self.restart_policy.as_deref() {
            Some("Always") => ContainerKind::Sidecar,
            _ => ContainerKind::Init,
        }
    }
}
