//! What `kubectl get nodes,namespaces,pods -A -o json` (or `yaml`) prints.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dra::served_by;
use super::ledger::Ledger;
use super::node::NodeEntry;
use super::quota::NamespaceQuota;
use super::record::PodRecord;
use crate::k8s::device_class::DeviceClass;
use crate::k8s::manifest;
use crate::k8s::manifest::ManifestError;
use crate::k8s::node::Namespace;
use crate::k8s::quota::{LimitRange, ResourceQuota};
use crate::k8s::text::Labels;
use crate::k8s::{Node, Pod, Text};

/// The command that makes such a file.
pub const COMMAND: &str = "kubectl get nodes,namespaces,pods -A -o json";

/// Why a text is no such dump. Displayed whole: a cause that is printed behind it would be there twice.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// Not JSON.
    #[error("not a cluster file: {0}; make one with `{COMMAND}`")]
    Json(serde_json::Error),
    /// Not YAML either.
    #[error("not a cluster file: {0}; make one with `{COMMAND}`")]
    Yaml(ManifestError),
    /// Another document.
    #[error("not a cluster file: its kind is `{0}`, not List; make one with `{COMMAND}`")]
    NotAList(String),
    /// One item can not be read.
    #[error("items[{index}] ({kind}): {mistake}")]
    Item {
        /// Its place.
        index: usize,
        /// Its kind.
        kind: String,
        /// What is wrong.
        mistake: serde_json::Error,
    },
    /// A list without nodes: something was left out of the command.
    #[error("the cluster file holds no {0}; make one with `{COMMAND}`")]
    Missing(&'static str),
}

/// A dump as JSON, which it may be already.
pub fn to_json(text: &str) -> Result<Cow<'_, str>, DumpError> {
    if text.trim_start().starts_with('{') {
        return Ok(Cow::Borrowed(text));
    }
    match &manifest::documents(text).map_err(DumpError::Yaml)?[..] {
        [list] => Ok(Cow::Owned(list.to_string())),
        other => Err(DumpError::NotAList(format!("{} documents", other.len()))),
    }
}

/// Reads a dump. Items of other kinds are passed over.
pub fn read(text: &str) -> Result<Ledger, DumpError> {
    read_json(&to_json(text)?, |_, _| {})
}

/// Reads a dump, which is JSON, and the documents of its pods with GPUs, by `namespace/name`.
pub fn read_with_pods(json: &str) -> Result<(Ledger, HashMap<String, &str>), DumpError> {
    let mut documents = HashMap::new();
    let ledger = read_json(json, |key, document| {
        documents.insert(key, document);
    })?;
    Ok((ledger, documents))
}

fn read_json<'t>(text: &'t str, mut take: impl FnMut(String, &'t str)) -> Result<Ledger, DumpError> {
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
        let wrong = |mistake| DumpError::Item {
            index,
            kind: kind.to_string(),
            mistake,
        };
        match &*kind {
            "Node" => {
                let node: Node<'_> = serde_json::from_str(item.get()).map_err(wrong)?;
                ledger.put_node(NodeEntry::of(node));
                nodes += 1;
            }
            "Namespace" => {
                let namespace: Namespace<'_> = serde_json::from_str(item.get()).map_err(wrong)?;
                let name = namespace.metadata.name.as_deref().unwrap_or_default();
                ledger.put_namespace(name, Labels::from(&namespace.metadata.labels));
                namespaces += 1;
            }
            "Pod" => {
                let pod: Pod<'_> = serde_json::from_str(item.get()).map_err(wrong)?;
                if let Some(record) = PodRecord::of(&pod) {
                    let key = format!("{}/{}", record.namespace, record.name);
                    ledger.put_pod(&key, Some(record));
                    take(key, item.get());
                }
            }
            "ResourceQuota" => {
                let quota: ResourceQuota<'_> = serde_json::from_str(item.get()).map_err(wrong)?;
                ledger.put_quota(
                    "resourcequotas",
                    &quota.metadata.key(),
                    NamespaceQuota::of_quota(&quota),
                );
            }
            "LimitRange" => {
                let range: LimitRange<'_> = serde_json::from_str(item.get()).map_err(wrong)?;
                ledger.put_quota(
                    "limitranges",
                    &range.metadata.key(),
                    NamespaceQuota::of_limit_range(&range),
                );
            }
            "DeviceClass" => {
                let class: DeviceClass<'_> = serde_json::from_str(item.get()).map_err(wrong)?;
                let name = class.metadata.name.as_deref().unwrap_or_default();
                ledger.put_device_class(name, served_by(&class));
            }
            _ => {}
        }
    }
    match (nodes, namespaces) {
        (0, _) => Err(DumpError::Missing("nodes")),
        (_, 0) => Err(DumpError::Missing("namespaces")),
        _ => {
            ledger.refresh_awaited();
            Ok(ledger)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_dump_is_told_how_to_become_one() {
        for (text, words) in [
            ("", "not a cluster file"),
            ("{", "not a cluster file"),
            ("hello", "not a cluster file"),
            (r#"{"kind":"Pod"}"#, "its kind is `Pod`"),
            (r#"{"kind":"List","items":null}"#, "holds no nodes"),
            (r#"{"kind":"List","items":[{"kind":"Node"}]}"#, "holds no namespaces"),
            (
                r#"{"kind":"List","items":[{"kind":"Node","status":{"allocatable":7}}]}"#,
                "items[0] (Node)",
            ),
            ("kind: List\nitems:\n- kind: Namespace\n", "holds no nodes"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn json_and_yaml_read_alike() {
        let json = r#"{"kind":"List","apiVersion":"v1","items":[{"kind":"Node","metadata":{"name":"n"}},{"kind":"Namespace","metadata":{"name":"s","labels":{"a":"b"}}},{"kind":"ConfigMap"}]}"#;
        let yaml = "apiVersion: v1\nkind: List\nitems:\n- kind: Node\n  metadata: {name: n}\n- kind: Namespace\n  metadata: {name: s, labels: {a: b}}\n- kind: ConfigMap\n";
        for text in [json, yaml] {
            let inventory = read(text).unwrap();
            let inventory = inventory.inventory();
            assert!(inventory.node("n").is_some() && inventory.namespace("s").is_some());
        }
    }
}
