//! The nodes that a question names.

use super::pod_query::{ExtenderContext, NodeRef};
use super::wire::Args;
use crate::inventory::NodeEntry;
use crate::k8s::{Node, Text};

/// The nodes of a question, in its order. Small for each, because there are hundreds, and nearly all are just looked up.
#[derive(Debug)]
pub(super) struct NodeQuery<'q> {
    /// What was asked with; empty where whole nodes were.
    names: &'q [Text<'q>],
    /// What is known of each.
    nodes: Vec<Option<NodeRef<'q>>>,
}

impl<'q> NodeQuery<'q> {
    /// Those of a filter or prioritize call, or what is wrong with it.
    pub(super) fn of(args: &'q Args<'_>, context: &ExtenderContext<'q>) -> Result<Self, String> {
        let uid = args.pod.metadata.uid.as_deref().unwrap_or_default();
        let priority = args.pod.spec.priority.unwrap_or(0);
        if let Some(names) = &args.node_names {
            let nodes = names.iter().map(|name| context.node(name, uid, priority)).collect();
            return Ok(NodeQuery { names, nodes });
        }
        let Some(nodes) = &args.nodes else {
            return Err("neither NodeNames nor Nodes is set".to_owned());
        };
        let nodes = nodes.items.iter().flatten().map(|raw| {
            let node: Node<'_> = serde_json::from_str(raw.get()).map_err(|error| format!("Nodes.items: {error}"))?;
            let mut entry = NodeEntry::of(node);
            // What the scheduler sent is newer than what we hold; what runs there only we know.
            if let Some(known) = context.node(&entry.name, uid, priority) {
                entry.held.clone_from(&known.held);
                entry.pods.clone_from(&known.pods);
            }
            Ok(Some(NodeRef::Made(Box::new(entry))))
        });
        let nodes = nodes.collect::<Result<_, String>>()?;
        Ok(NodeQuery { names: &[], nodes })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at a place, as far as it is known.
    pub(super) fn node(&self, at: usize) -> Option<&NodeEntry> {
        self.nodes[at].as_deref()
    }

    /// Whether the node at a place is as the inventory has it, with nothing reserved there.
    pub(super) fn is_as_known(&self, at: usize) -> bool {
        matches!(self.nodes[at], Some(NodeRef::Known(_)))
    }

    /// The name of the node at a place.
    pub(super) fn name(&self, at: usize) -> &str {
        match (self.names.get(at), &self.nodes[at]) {
            (Some(name), _) => name,
            (None, Some(node)) => &node.name,
            (None, None) => "",
        }
    }

    /// Each with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&NodeEntry>)> {
        (0..self.len()).map(|at| (self.name(at), self.node(at)))
    }
}
