//! The metadata that all Kubernetes objects have.

use serde::Deserialize;

use super::text::{Pairs, Text, null_as_default};

/// A `metav1.ObjectMeta`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Absent until the API server generates a name.
    #[serde(default, borrow)]
    pub name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub generate_name: Option<Text<'a>>,
    /// May be absent in an admission request, which names the namespace itself.
    #[serde(default, borrow)]
    pub namespace: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub uid: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub resource_version: Option<Text<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub labels: Pairs<'a>,
    /// Not trustworthy: anyone who may create the object can set any of them.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub annotations: Pairs<'a>,
    #[serde(default, borrow)]
    pub deletion_timestamp: Option<Text<'a>>,
}

impl Metadata<'_> {
    /// `namespace/name`.
    pub fn key(&self) -> String {
        let text = |text: &Option<Text<'_>>| text.as_deref().unwrap_or_default().to_owned();
        format!("{}/{}", text(&self.namespace), text(&self.name))
    }

    /// The name, or the prefix of the name to be generated, followed by `*`.
    pub fn display_name(&self) -> String {
        match (self.name.as_deref(), self.generate_name.as_deref()) {
            (Some(name), _) if !name.is_empty() => name.to_owned(),
            (_, Some(prefix)) if !prefix.is_empty() => format!("{prefix}*"),
            _ => "(unnamed)".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_mark_generated_names() {
        let name = |json: &str| serde_json::from_str::<Metadata<'_>>(json).unwrap().display_name();
        assert_eq!(name(r#"{"name":"a"}"#), "a");
        assert_eq!(name(r#"{"generateName":"a-"}"#), "a-*");
        assert_eq!(name("{}"), "(unnamed)");
    }
}
