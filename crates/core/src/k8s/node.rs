//! Nodes, and the device classes through which DRA serves extended resources.

use serde::Deserialize;

use super::metadata::Metadata;
use super::quantity::RawQuantity;
use super::taint::Taint;
use super::text::{Pairs, Text, null_as_default};

/// A `v1.Node`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Node<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: NodeSpec<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub status: NodeStatus<'a>,
}

/// A `v1.NodeSpec`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeSpec<'a> {
    #[serde(default)]
    pub unschedulable: Option<bool>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub taints: Vec<Taint<'a>>,
}

/// A `v1.NodeStatus`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeStatus<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub allocatable: Pairs<'a, RawQuantity<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    conditions: Vec<NodeCondition<'a>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct NodeCondition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
}

impl Node<'_> {
    /// A node without a `Ready` condition counts as ready: fake nodes and the node templates of
    /// autoscalers have none.
    pub fn is_ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .all(|condition| &*condition.kind != "Ready" || &*condition.status == "True")
    }

    pub fn is_cordoned(&self) -> bool {
        self.spec.unschedulable.unwrap_or(false)
    }
}

/// A `resource.k8s.io/v1` `DeviceClass`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct DeviceClass<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: DeviceClassSpec<'a>,
}

/// A `DeviceClassSpec`. Its selectors are CEL programs over what drivers publish about their
/// devices; they are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceClassSpec<'a> {
    /// The extended resource that pods may request instead of creating a `ResourceClaim`.
    #[serde(default, borrow)]
    pub extended_resource_name: Option<Text<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_and_cordoning_are_read() {
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
