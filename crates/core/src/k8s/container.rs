//! Containers: what they request, and what they can reach.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::quantity::RawQuantity;
use super::text::{Pairs, Text, null_as_default};
use super::volume::VolumeMount;

/// The list of the pod that a container belongs to, which also tells when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerKind {
    /// `spec.containers`: all run together.
    Main,
    /// `spec.initContainers`: run one after the other, before the main containers.
    Init,
    /// `spec.initContainers` with `restartPolicy: Always`: start in their turn and keep running.
    Sidecar,
    /// `spec.ephemeralContainers`: added to a running pod, without resources of their own.
    Ephemeral,
}

impl ContainerKind {
    /// The name of the list in the pod's spec.
    pub fn list(self) -> &'static str {
        match self {
            ContainerKind::Main => "containers",
            ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
            ContainerKind::Ephemeral => "ephemeralContainers",
        }
    }

    /// The path of the container at `index`, such as `spec.containers[0]`.
    pub fn field(self, index: usize) -> String {
        format!("spec.{}[{index}]", self.list())
    }
}

/// A `v1.Container`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    #[serde(default, borrow)]
    pub name: Text<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub resources: ResourceRequirements<'a>,
    /// If two have the same name, the later one wins.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub env: Vec<EnvVar<'a>>,
    /// Sources of more variables. Those in `env` take precedence.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub env_from: Vec<EnvFromSource<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub volume_mounts: Vec<VolumeMount<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub security_context: SecurityContext<'a>,
    #[serde(default, borrow)]
    restart_policy: Option<Text<'a>>,
}

/// A `v1.ResourceRequirements`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResourceRequirements<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub requests: Pairs<'a, RawQuantity<'a>>,
    /// For extended resources, limits must equal requests.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub limits: Pairs<'a, RawQuantity<'a>>,
}

impl Container<'_> {
    /// The kind of a container in `spec.initContainers`.
    pub(super) fn init_kind(&self) -> ContainerKind {
        match self.restart_policy.as_deref() {
            Some("Always") => ContainerKind::Sidecar,
            _ => ContainerKind::Init,
        }
    }
}

/// A `v1.SecurityContext`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SecurityContext<'a> {
    #[serde(default)]
    pub privileged: Option<bool>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub capabilities: Capabilities<'a>,
}

/// A `v1.Capabilities`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Capabilities<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub add: Vec<Text<'a>>,
}

/// A `v1.EnvVar`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub name: Text<'a>,
    /// The kubelet expands `$(OTHER)` in it.
    #[serde(default, borrow)]
    value: Option<Text<'a>>,
    #[serde(default)]
    value_from: Option<IgnoredAny>,
}

impl EnvVar<'_> {
    /// The value in the pod's spec, or `None` if the kubelet reads it from `valueFrom`.
    ///
    /// The kubelet uses `valueFrom` only if `value` is missing or empty (`makeEnvironmentVariables`
    /// in Kubernetes' `pkg/kubelet/kubelet_pods.go`), and the API server accepts only one of them.
    pub fn literal(&self) -> Option<&str> {
        match self.value.as_deref() {
            Some(value) if !value.is_empty() => Some(value),
            _ if self.value_from.is_some() => None,
            _ => Some(""),
        }
    }
}

/// A `v1.EnvFromSource`: one variable for each key of a `ConfigMap` or `Secret`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct EnvFromSource<'a> {
    /// Precedes each key in the name of its variable.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub prefix: Text<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_values_come_from_the_spec_alone() {
        for (json, literal) in [
            (r#"{"name":"A","value":"b"}"#, Some("b")),
            (r#"{"name":"A"}"#, Some("")),
            (r#"{"name":"A","value":null,"valueFrom":null}"#, Some("")),
            (
                r#"{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}"#,
                None,
            ),
            (
                r#"{"name":"A","value":"","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}"#,
                None,
            ),
            (r#"{"name":"A","value":"$(B)"}"#, Some("$(B)")),
        ] {
            let variable: EnvVar<'_> = serde_json::from_str(json).unwrap();
            assert_eq!((&*variable.name, variable.literal()), ("A", literal), "{json}");
        }
    }
}
