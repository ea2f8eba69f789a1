//! Reads the output of `kubectl get nodes,namespaces,pods -A -o json` (or `-o yaml`).

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dra::resource_served_by;
use super::ledger::Ledger;
use super::node::NodeEntry;
use super::pod::PodRecord;
use super::quota::NamespaceQuota;
use crate::diagnostics::counted;
use crate::k8s::Labels;
use crate::k8s::manifest::{self, ManifestError};
use crate::k8s::namespace::Namespace;
use crate::k8s::namespace::{LimitRange, ResourceQuota};
use crate::k8s::node::DeviceClass;
use crate::k8s::{Node, Pod, Text};

/// The command that writes a dump.
pub const COMMAND: &str = "kubectl get nodes,namespaces,pods -A -o json";

/// Why a text is not a dump.
///
/// The messages include their causes. These are therefore no sources, which an error chain would
/// print again.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error("not a cluster file: {0}; make one with `{COMMAND}`")]
    Json(serde_json::Error),
    #[error("not a cluster file: {0}; make one with `{COMMAND}`")]
    Yaml(ManifestError),
    /// Holds the kind of the document.
    #[error("not a cluster file: its kind is `{0}`, not List; make one with `{COMMAND}`")]
    NotAList(String),
    #[error("not a cluster file: it holds {} instead of one List; make one with `{COMMAND}`", counted(*.0, "document"))]
    DocumentCount(usize),
    /// An item cannot be parsed.
    #[error("items[{index}] ({kind}): {error}")]
    Item {
        index: usize,
        kind: String,
        error: serde_json::Error,
    },
    /// The list holds no objects of this kind, given in the plural.
    #[error("the cluster file holds no {0}; make one with `{COMMAND}`")]
    Missing(&'static str),
}

/// Converts a dump to JSON, unless it is JSON already.
pub fn to_json(text: &str) -> Result<Cow<'_, str>, DumpError> {
    if text.trim_start().starts_with('{') {
        return Ok(Cow::Borrowed(text));
    }
    match &manifest::documents(text).map_err(DumpError::Yaml)?[..] {
        [list] => Ok(Cow::Owned(list.to_string())),
        other => Err(DumpError::DocumentCount(other.len())),
    }
}

/// Reads a dump. Skips items of other kinds.
pub fn read(text: &str) -> Result<Ledger, DumpError> {
    read_json(&to_json(text)?, |_, _| {})
}

/// Reads a JSON dump. Also returns the objects of its pods with GPUs, by `namespace/name`.
pub fn read_with_pods(json: &str) -> Result<(Ledger, HashMap<String, &str>), DumpError> {
    let mut documents = HashMap::new();
    let ledger = read_json(json, |key, document| {
        documents.insert(key, document);
    })?;
    Ok((ledger, documents))
}

fn read_json<'t>(text: &'t str, mut on_pod: impl FnMut(String, &'t str)) -> Result<Ledger, DumpError> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(default, borrow)]
        kind: Text<'a>,
        #[serde(default, borrow)]
        items: Option<Vec<&'a RawValue>>,
    }
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(default, borrow)]
        kind: Text<'a>,
    }
    let list: List<'t> = serde_json::from_str(text).map_err(DumpError::Json)?;
    if &*list.kind != "List" {
        return Err(DumpError::NotAList(list.kind.to_string()));
    }
    let mut ledger = Ledger::default();
    let (mut nodes, mut namespaces) = (0usize, 0usize);
    for (index, item) in list.items.unwrap_or_default().into_iter().enumerate() {
        let kind = serde_json::from_str::<Kind<'_>>(item.get())
            .map(|k| k.kind)
            .unwrap_or_default();
        let invalid = |error| DumpError::Item {
            index,
            kind: kind.to_string(),
            error,
        };
        match &*kind {
            "Node" => {
                let node: Node<'_> = serde_json::from_str(item.get()).map_err(invalid)?;
                ledger.put_node(NodeEntry::new(node));
                nodes += 1;
            }
            "Namespace" => {
                let namespace: Namespace<'_> = serde_json::from_str(item.get()).map_err(invalid)?;
                let name = namespace.metadata.name.as_deref().unwrap_or_default();
                ledger.put_namespace(name, Labels::from(&namespace.metadata.labels));
                namespaces += 1;
            }
            "Pod" => {
                let pod: Pod<'_> = serde_json::from_str(item.get()).map_err(invalid)?;
                if let Some(record) = PodRecord::from_pod(&pod) {
                    let key = format!("{}/{}", record.namespace, record.name);
                    ledger.put_pod(&key, Some(record));
                    on_pod(key, item.get());
                }
            }
            "ResourceQuota" => {
                let quota: ResourceQuota<'_> = serde_json::from_str(item.get()).map_err(invalid)?;
                ledger.put_quota(
                    "resourcequotas",
                    &quota.metadata.key(),
                    NamespaceQuota::of_quota(&quota),
                );
            }
            "LimitRange" => {
                let range: LimitRange<'_> = serde_json::from_str(item.get()).map_err(invalid)?;
                ledger.put_quota(
                    "limitranges",
                    &range.metadata.key(),
                    NamespaceQuota::of_limit_range(&range),
                );
            }
            "DeviceClass" => {
                let class: DeviceClass<'_> = serde_json::from_str(item.get()).map_err(invalid)?;
                let name = class.metadata.name.as_deref().unwrap_or_default();
                ledger.put_device_class(name, resource_served_by(&class));
            }
            _ => {}
        }
    }
    match (nodes, namespaces) {
        (0, _) => Err(DumpError::Missing("nodes")),
        (_, 0) => Err(DumpError::Missing("namespaces")),
        _ => {
            ledger.refresh_pending_demand();
            Ok(ledger)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_wrong_with_a_dump() {
        for (text, expected) in [
            ("", "not a cluster file"),
            ("{", "not a cluster file"),
            ("hello", "not a cluster file"),
            (r#"{"kind":"Pod"}"#, "its kind is `Pod`"),
            (
                "kind: List\n---\nkind: List\n",
                "it holds 2 documents instead of one List",
            ),
            (r#"{"kind":"List","items":null}"#, "holds no nodes"),
            (r#"{"kind":"List","items":[{"kind":"Node"}]}"#, "holds no namespaces"),
            (
                r#"{"kind":"List","items":[{"kind":"Node","status":{"allocatable":7}}]}"#,
                "items[0] (Node)",
            ),
            ("kind: List\nitems:\n- kind: Namespace\n", "holds no nodes"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn json_and_yaml_dumps_are_read() {
        let json = r#"{"kind":"List","apiVersion":"v1","items":[{"kind":"Node","metadata":{"name":"n"}},{"kind":"Namespace","metadata":{"name":"s","labels":{"a":"b"}}},{"kind":"ConfigMap"}]}"#;
        let yaml = "apiVersion: v1\nkind: List\nitems:\n- kind: Node\n  metadata: {name: n}\n- kind: Namespace\n  metadata: {name: s, labels: {a: b}}\n- kind: ConfigMap\n";
        for text in [json, yaml] {
            let inventory = read(text).unwrap();
            let inventory = inventory.inventory();
            assert!(inventory.node("n").is_some() && inventory.namespace("s").is_some());
        }
    }
}
