//! Borrowed views of a `v1.Node` and a `v1.Namespace`.

use serde::Deserialize;

use super::pod::Metadata;
use super::quantity::RawQuantity;
use super::taint::Taint;
use super::text::{Pairs, Text, null_as_default};

/// A `v1.Node`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Node<'a> {
    /// Its name and labels.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    /// Whether it takes pods.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: NodeSpec<'a>,
    /// What it has.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub status: NodeStatus<'a>,
}

/// A `v1.NodeSpec`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeSpec<'a> {
    /// Cordoned.
    #[serde(default)]
    pub unschedulable: Option<bool>,
    /// Taints.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub taints: Vec<Taint<'a>>,
}

/// A `v1.NodeStatus`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeStatus<'a> {
    /// What pods can ask for.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub allocatable: Pairs<'a, RawQuantity<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    conditions: Vec<Condition<'a>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
}

impl Node<'_> {
    /// Whether the kubelet last reported that it is ready. A node that reports no such condition counts as ready: fake nodes
    /// and node groups' templates have none.
    pub fn is_ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .all(|condition| &*condition.kind != "Ready" || &*condition.status == "True")
    }

    /// Whether an administrator keeps new pods away.
    pub fn is_cordoned(&self) -> bool {
        self.spec.unschedulable.unwrap_or(false)
    }
}

/// A `v1.Namespace`: labels alone concern us.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Namespace<'a> {
    /// Its name and labels.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_and_cordon_are_read() {
        for (json, ready, cordoned) in [
            ("{}", true, false),
            (
                r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#,
                true,
                false,
            ),
            (
                r#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#,
                false,
                false,
            ),
            (
                r#"{"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}"#,
                false,
                false,
            ),
            (
                r#"{"status":{"conditions":[{"type":"DiskPressure","status":"False"}]}}"#,
                true,
                false,
            ),
            (r#"{"spec":{"unschedulable":true,"taints":null}}"#, true, true),
        ] {
            let node: Node<'_> = serde_json::from_str(json).unwrap();
            assert_eq!((node.is_ready(), node.is_cordoned()), (ready, cordoned), "{json}");
        }
    }
}
