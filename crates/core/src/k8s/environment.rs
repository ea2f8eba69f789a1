//! The environment variables of a container, as far as their names tell.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::text::{Text, null_as_default};

/// A `v1.EnvVar`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable<'a> {
    /// Its name.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub name: Text<'a>,
    /// Its value; the kubelet expands `$(OTHER)` in it.
    #[serde(default, borrow)]
    value: Option<Text<'a>>,
    #[serde(default)]
    value_from: Option<IgnoredAny>,
}

impl Variable<'_> {
    /// The value, where the pod itself says it: `None` where it is read from elsewhere when the container starts.
    ///
    /// The kubelet looks at the source only where the value is missing or empty (`makeEnvironmentVariables` in Kubernetes'
    /// `pkg/kubelet/kubelet_pods.go`), and the API server takes only one of them.
    pub fn literal(&self) -> Option<&str> {
        match self.value.as_deref() {
            Some(value) if !value.is_empty() => Some(value),
            _ if self.value_from.is_some() => None,
            _ => Some(""),
        }
    }
}

/// A `v1.EnvFromSource`: a variable for each key of a `ConfigMap` or `Secret`, read when the container starts.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct VariableSource<'a> {
    /// What is put in front of each key.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub prefix: Text<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_pod_says_itself_is_a_literal() {
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
            let variable: Variable<'_> = serde_json::from_str(json).unwrap();
            assert_eq!((&*variable.name, variable.literal()), ("A", literal), "{json}");
        }
    }
}
