//! What is asked about a pod, once policies and namespaces have been looked up.

use std::borrow::Cow;

use super::wire::Args;
use crate::decision::{OnUnknown, governing};
use crate::gpu::{Counts, MiB, PodDemand, demand};
use crate::inventory::{Inventory, Lack, NodeEntry};
use crate::object::{Node, Pod};
use crate::policy::{Governed, Mode, Policy, PolicySet};

/// What an answer depends on besides the question.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// The policies.
    pub policies: &'c PolicySet,
    /// The cluster.
    pub inventory: &'c Inventory,
    /// What to do where the cluster is not known well enough.
    pub on_unknown: OnUnknown,
}

/// What a pod means to the extender.
#[derive(Debug)]
pub enum Ask<'c> {
    /// Nothing: no policy governs it, it asks for no GPU, or its policy only watches.
    Nothing,
    /// It can not be judged, and is not to pass.
    Refuse(String),
    /// It is to be held to its policy.
    Hold {
        /// The policy.
        policy: &'c Policy,
        /// What a node must give.
        demand: Counts,
        /// Memory that each share must have.
        memory: Option<MiB>,
    },
}

impl<'c> Ask<'c> {
    /// What this pod means.
    pub fn of(pod: &Pod<'_>, context: &Context<'c>) -> Self {
        let (demand, read) = (demand::effective_demand(pod), PodDemand::of(pod));
        // A demand that can not be read is not an empty one.
        if demand.is_empty() && read.as_ref().is_ok_and(PodDemand::is_empty) {
            return Ask::Nothing;
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let unknown = |message: String| match context.on_unknown {
            OnUnknown::Refuse => Ask::Refuse(message),
            OnUnknown::Admit => Ask::Nothing,
        };
        let policy = match governing(context.policies, context.inventory, namespace, &pod.metadata.labels) {
            Governed::ByUnknownNamespace => {
                return unknown(format!("namespace {namespace} not known to apportion yet"));
            }
            Governed::ByUnknown(name) => return unknown(format!("policy {name} does not exist")),
            Governed::ByNone => return Ask::Nothing,
            Governed::By(policy) if policy.mode != Mode::Enforce => return Ask::Nothing,
            Governed::By(policy) => policy,
        };
        match read {
            Ok(read) => Ask::Hold {
                policy,
                demand,
                memory: read.memory,
            },
            Err(error) => Ask::Refuse(error.to_string()),
        }
    }

    /// Whether a node can hold the pod.
    pub fn check(&self, node: Option<&NodeEntry>) -> Result<(), Lack> {
        match (self, node) {
            (Ask::Nothing, _) | (Ask::Refuse(_), Some(_)) => Ok(()),
            (_, None) => Err(Lack::UnknownNode),
            (Ask::Hold { policy, demand, memory }, Some(node)) => node.hold(demand, policy.sharing_rules(), *memory),
        }
    }
}

/// A node that is asked about, as far as it is known.
pub(super) type Listed<'q> = (Cow<'q, str>, Option<Cow<'q, NodeEntry>>);

/// The nodes that are asked about, as far as they are known.
pub(super) fn listed<'q, 'a: 'q>(args: &'q Args<'a>, inventory: &'q Inventory) -> Result<Vec<Listed<'q>>, String> {
    if let Some(names) = &args.node_names {
        return Ok(names
            .iter()
            .map(|name| (Cow::Borrowed(&**name), inventory.node(name).map(Cow::Borrowed)))
            .collect());
    }
    let Some(nodes) = &args.nodes else {
        return Err("neither NodeNames nor Nodes is set".to_owned());
    };
    nodes
        .items
        .iter()
        .flatten()
        .map(|raw| {
            let node: Node<'_> = serde_json::from_str(raw.get()).map_err(|error| format!("Nodes.items: {error}"))?;
            let name = node.metadata.name.clone().unwrap_or_default();
            let mut entry = NodeEntry::of(node);
            // What the scheduler sent is newer than what we hold; what runs there only we know.
            if let Some(known) = inventory.node(&name) {
                entry.used.clone_from(&known.used);
            }
            Ok((name.0, Some(Cow::Owned(entry))))
        })
        .collect()
}
