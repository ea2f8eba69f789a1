//! The state that a call is answered from, and the nodes that it asks about.

use std::ops::Deref;

use super::wire::Args;
use crate::inventory::{Inventory, NodeEntry, Reserved};
use crate::k8s::{Node, Text};
use crate::policy::OnUnknown;
use crate::policy::PolicySet;

#[derive(Clone, Copy, Debug)]
pub struct ExtenderContext<'c> {
    pub policies: &'c PolicySet,
    pub inventory: &'c Inventory,
    /// Decisions that the inventory does not show yet.
    pub reserved: &'c Reserved,
    /// What to do with pods of unknown namespaces and policies.
    pub on_unknown: OnUnknown,
}

impl<'c> ExtenderContext<'c> {
    /// A node with the reservations that count for a pod of this UID and priority.
    pub fn node(&self, name: &str, uid: &str, priority: i32) -> Option<NodeRef<'c>> {
        let node = self.inventory.node(name)?;
        let reserved = if self.reserved.is_empty() {
            None
        } else {
            self.reserved.usage_against(name, uid, priority)
        };
        Some(match reserved {
            Some(reserved) => NodeRef::Adjusted(Box::new(node.with_usage(&reserved))),
            None => NodeRef::Inventory(node),
        })
    }
}

/// A node that a call asks about. Small, because a call names hundreds of nodes and nearly all are
/// as the inventory has them.
#[derive(Debug)]
pub enum NodeRef<'c> {
    Inventory(&'c NodeEntry),
    /// With reservations, or as the scheduler sent it.
    Adjusted(Box<NodeEntry>),
}

impl Deref for NodeRef<'_> {
    type Target = NodeEntry;

    fn deref(&self) -> &NodeEntry {
        match self {
            NodeRef::Inventory(node) => node,
            NodeRef::Adjusted(node) => node,
        }
    }
}

/// Why the nodes of a call cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExtenderArgsError {
    #[error("neither NodeNames nor Nodes is set")]
    NoNodes,
    #[error("Nodes.items: {0}")]
    InvalidNode(#[from] serde_json::Error),
}

/// The nodes of a filter or prioritize call, in its order.
#[derive(Debug)]
pub(super) struct CandidateNodes<'q> {
    /// Empty if the call has whole nodes.
    names: &'q [Text<'q>],
    /// `None` for nodes that the inventory does not have.
    nodes: Vec<Option<NodeRef<'q>>>,
}

impl<'q> CandidateNodes<'q> {
    pub(super) fn of(args: &'q Args<'_>, context: &ExtenderContext<'q>) -> Result<Self, ExtenderArgsError> {
        let uid = args.pod.metadata.uid.as_deref().unwrap_or_default();
        let priority = args.pod.spec.priority.unwrap_or(0);
        if let Some(names) = &args.node_names {
            let nodes = names.iter().map(|name| context.node(name, uid, priority)).collect();
            return Ok(CandidateNodes { names, nodes });
        }
        let Some(nodes) = &args.nodes else {
            return Err(ExtenderArgsError::NoNodes);
        };
        let nodes = nodes.items.iter().flatten().map(|raw| {
            let node: Node<'_> = serde_json::from_str(raw.get())?;
            let mut entry = NodeEntry::new(node);
            // The scheduler's node is newer than the inventory's; only the inventory has its pods.
            if let Some(known) = context.node(&entry.name, uid, priority) {
                entry.usage.clone_from(&known.usage);
                entry.pods.clone_from(&known.pods);
            }
            Ok(Some(NodeRef::Adjusted(Box::new(entry))))
        });
        let nodes = nodes.collect::<Result<_, ExtenderArgsError>>()?;
        Ok(CandidateNodes { names: &[], nodes })
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, index: usize) -> Option<&NodeEntry> {
        self.nodes[index].as_deref()
    }

    /// Whether the node is as the inventory has it, without reservations.
    pub(super) fn is_as_in_inventory(&self, index: usize) -> bool {
        matches!(self.nodes[index], Some(NodeRef::Inventory(_)))
    }

    pub(super) fn name(&self, index: usize) -> &str {
        match (self.names.get(index), &self.nodes[index]) {
            (Some(name), _) => name,
            (None, Some(node)) => &node.name,
            (None, None) => "",
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&NodeEntry>)> {
        (0..self.len()).map(|index| (self.name(index), self.node(index)))
    }
}
