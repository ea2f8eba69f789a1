//! What is asked about a pod, once policies and namespaces have been looked up.

use std::ops::Deref;
use std::sync::Arc;

use crate::gpu::demand::DemandError;
use crate::gpu::{Counts, PodDemand, demand};
use crate::inventory::{DeviceClasses, Inventory, NodeEntry, PodRecord, PodRequest, Reserved, UnfitReason};
use crate::k8s::{LabelSource, Pod};
use crate::policy::Guarantees;
use crate::policy::governance::OnUnknown;
use crate::policy::{Governed, Mode, Policy, PolicySet};
use apportion_mig::memory::MiB;

/// What an answer depends on besides the question.
#[derive(Clone, Copy, Debug)]
pub struct ExtenderContext<'c> {
    /// The policies.
    pub policies: &'c PolicySet,
    /// The cluster.
    pub inventory: &'c Inventory,
    /// What is decided and not yet in the inventory.
    pub reserved: &'c Reserved,
    /// What to do where the cluster is not known well enough.
    pub on_unknown: OnUnknown,
}

impl<'c> ExtenderContext<'c> {
    /// A node, as a pod of this UID and priority finds it.
    pub fn node(&self, name: &str, uid: &str, priority: i32) -> Option<NodeRef<'c>> {
        let node = self.inventory.node(name)?;
        let reserved = if self.reserved.is_empty() {
            None
        } else {
            self.reserved.on(name, uid, priority)
        };
        Some(match reserved {
            Some(reserved) => NodeRef::Made(Box::new(node.with(&reserved))),
            None => NodeRef::Known(node),
        })
    }
}

/// A node that is asked about. Small, because a question names hundreds, and nearly all are just looked up.
#[derive(Debug)]
pub enum NodeRef<'c> {
    /// As the inventory has it.
    Known(&'c NodeEntry),
    /// With what is reserved there, or as the scheduler sent it.
    Made(Box<NodeEntry>),
}

impl Deref for NodeRef<'_> {
    type Target = NodeEntry;

    fn deref(&self) -> &NodeEntry {
        match self {
            NodeRef::Known(node) => node,
            NodeRef::Made(node) => node,
        }
    }
}

/// What a pod means to the extender.
#[derive(Debug)]
pub enum PodQuery<'c> {
    /// Nothing: it asks for no GPU.
    Nothing,
    /// It can not be judged, and is not to pass.
    Refuse(String),
    /// No policy holds it to anything, or one that only watches; what its neighbours were promised does.
    Guest(PodRequest),
    /// It is to be held to its policy.
    Hold {
        /// The policy.
        policy: &'c Policy,
        /// What it would hold.
        pod_request: PodRequest,
        /// What may be left to DRA.
        classes: &'c DeviceClasses,
    },
}

impl<'c> PodQuery<'c> {
    /// What this pod means.
    pub fn of(pod: &Pod<'_>, context: &ExtenderContext<'c>) -> Self {
        let (demand, read) = (demand::effective_demand(pod), PodDemand::of(pod));
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let read = read.map(|read| (read.is_empty(), read.memory));
        Self::about(namespace, &pod.metadata.labels, &demand, read, context)
    }

    /// What a pod means that is known already.
    pub fn of_record(pod: &PodRecord, context: &ExtenderContext<'c>) -> Self {
        let read = match (&pod.summary.demand, &pod.declared) {
            (Ok(wished), Ok(memory)) => Ok((wished.is_empty(), *memory)),
            (Err(error), _) | (_, Err(error)) => Err((**error).clone()),
        };
        Self::about(&pod.namespace, &pod.summary.labels, &pod.demand, read, context)
    }

    /// `read` is whether the containers ask for nothing, and the memory that they declare.
    fn about(
        namespace: &str,
        labels: &impl LabelSource,
        demand: &Counts,
        read: Result<(bool, Option<MiB>), DemandError>,
        context: &ExtenderContext<'c>,
    ) -> Self {
        // A demand that can not be read is not an empty one.
        if demand.is_empty() && read.as_ref().is_ok_and(|(is_empty, _)| *is_empty) {
            return PodQuery::Nothing;
        }
        let pod_request = |policy: Option<&Policy>, memory| PodRequest {
            demand: demand.clone(),
            memory,
            terms: Arc::new(Guarantees::under(
                policy,
                namespace,
                context.inventory.namespace(namespace),
            )),
        };
        // What can not be read declares nothing that anybody could be held to.
        let declared = read.as_ref().map_or(None, |(_, memory)| *memory);
        let unknown = |message: String| match context.on_unknown {
            OnUnknown::Refuse => PodQuery::Refuse(message),
            OnUnknown::Admit => PodQuery::Guest(pod_request(None, declared)),
        };
        match context.inventory.governing(context.policies, namespace, labels) {
            Governed::ByUnknownNamespace => unknown(format!("namespace {namespace} not known to apportion yet")),
            Governed::ByUnknown(name) => unknown(format!("policy {name} does not exist")),
            Governed::ByNone => PodQuery::Guest(pod_request(None, declared)),
            Governed::By(policy) if policy.mode != Mode::Enforce => {
                PodQuery::Guest(pod_request(Some(policy), declared))
            }
            Governed::By(policy) => match read {
                Ok((_, memory)) => PodQuery::Hold {
                    policy,
                    pod_request: pod_request(Some(policy), memory),
                    classes: context.inventory.device_classes(),
                },
                Err(error) => PodQuery::Refuse(error.to_string()),
            },
        }
    }

    /// Whether a node can hold the pod.
    pub fn check(&self, node: Option<&NodeEntry>) -> Result<(), UnfitReason> {
        match (self, node) {
            (PodQuery::Nothing | PodQuery::Guest(_), None) | (PodQuery::Nothing | PodQuery::Refuse(_), Some(_)) => {
                Ok(())
            }
            (PodQuery::Hold { .. } | PodQuery::Refuse(_), None) => Err(UnfitReason::UnknownNode),
            (PodQuery::Guest(pod_request), Some(node)) => node.check_neighbours(&pod_request.request()),
            (
                PodQuery::Hold {
                    policy,
                    pod_request,
                    classes,
                },
                Some(node),
            ) => node.hold_or_leave(&pod_request.request(), policy.sharing_rules(), classes),
        }
    }

    /// What the pod would hold, if it is anybody's concern.
    pub fn pod_request(&self) -> Option<&PodRequest> {
        match self {
            PodQuery::Guest(pod_request) | PodQuery::Hold { pod_request, .. } => Some(pod_request),
            PodQuery::Nothing | PodQuery::Refuse(_) => None,
        }
    }
}
