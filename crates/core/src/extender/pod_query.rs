//! What a pod requires of a node, given its policy and its namespace.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::context::ExtenderContext;
use crate::diagnostics::excerpt;
use crate::gpu::demand::DemandError;
use crate::gpu::{Counts, PodDemand, demand};
use crate::inventory::dra::may_be_served_by_dra;
use crate::inventory::{DeviceClasses, NodeEntry, NodeOffers, PodRecord, PodRequest, PodRequestRef, UnfitReason};
use crate::k8s::{LabelSource, Pod};
use crate::policy::Guarantees;
use crate::policy::OnUnknown;
use crate::policy::{Governed, Mode, Policy};
use apportion_mig::MiB;

/// What a pod requires of a node.
#[derive(Debug)]
pub enum PodQuery<'c> {
    /// Nothing: the pod requests no GPU.
    NoGpu,
    /// No node is allowed.
    Reject(RejectReason),
    /// No policy governs the pod, or its policy is in mode `Warn` or `Audit`. Only what its
    /// neighbours were guaranteed limits it.
    NotEnforced(PodRequest),
    /// A policy in mode `Enforce` governs the pod.
    Enforced {
        policy: &'c Policy,
        pod_request: PodRequest,
        /// The resources that may be left to DRA.
        classes: &'c DeviceClasses,
    },
}

/// Why no node is allowed for a pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    #[error("namespace {0} not known to apportion yet")]
    UnknownNamespace(String),
    #[error("policy {0} does not exist")]
    UnknownPolicy(String),
    #[error(transparent)]
    InvalidDemand(#[from] DemandError),
}

/// What the containers of a pod declare, or why it cannot be read.
type Declared = Result<DeclaredDemand, DemandError>;

#[derive(Clone, Copy)]
struct DeclaredDemand {
    is_empty: bool,
    memory: Option<MiB>,
}

impl<'c> PodQuery<'c> {
    /// For a pod from a request.
    pub fn of(pod: &Pod<'_>, context: &ExtenderContext<'c>) -> Self {
        let declared = PodDemand::from_pod(pod).map(|demand| DeclaredDemand {
            is_empty: demand.is_empty(),
            memory: demand.memory,
        });
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let demand = demand::effective_demand(pod);
        Self::new(namespace, &pod.metadata.labels, &demand, declared, context)
    }

    /// For a pod from the inventory.
    pub fn of_record(pod: &PodRecord, context: &ExtenderContext<'c>) -> Self {
        let declared = match (&pod.summary.demand, &pod.declared_memory) {
            (Ok(demand), Ok(memory)) => Ok(DeclaredDemand {
                is_empty: demand.is_empty(),
                memory: *memory,
            }),
            (Err(error), _) | (_, Err(error)) => Err((**error).clone()),
        };
        Self::new(&pod.namespace, &pod.summary.labels, &pod.demand, declared, context)
    }

    fn new(
        namespace: &str,
        labels: &impl LabelSource,
        demand: &Counts,
        declared: Declared,
        context: &ExtenderContext<'c>,
    ) -> Self {
        // A demand that cannot be read is not an empty one.
        if demand.is_empty() && declared.as_ref().is_ok_and(|declared| declared.is_empty) {
            return PodQuery::NoGpu;
        }
        // A demand that cannot be read declares no memory.
        let memory = declared.as_ref().map_or(None, |declared| declared.memory);
        let pod_request = |policy: Option<&Policy>| PodRequest {
            demand: demand.clone(),
            memory,
            guarantees: Arc::new(Guarantees::under_policy(
                policy,
                namespace,
                context.inventory.namespace(namespace),
            )),
        };
        let unknown = |reason: RejectReason| match context.on_unknown {
            OnUnknown::Refuse => PodQuery::Reject(reason),
            OnUnknown::Admit => PodQuery::NotEnforced(pod_request(None)),
        };
        match context.inventory.governing(context.policies, namespace, labels) {
            Governed::ByUnknownNamespace => unknown(RejectReason::UnknownNamespace(excerpt(namespace).into_owned())),
            Governed::ByUnknownPolicy(name) => unknown(RejectReason::UnknownPolicy(name.to_owned())),
            Governed::ByNone => PodQuery::NotEnforced(pod_request(None)),
            Governed::By(policy) if policy.mode != Mode::Enforce => PodQuery::NotEnforced(pod_request(Some(policy))),
            Governed::By(policy) => match declared {
                Ok(_) => PodQuery::Enforced {
                    policy,
                    pod_request: pod_request(Some(policy)),
                    classes: context.inventory.device_classes(),
                },
                Err(error) => PodQuery::Reject(error.into()),
            },
        }
    }

    /// Whether a node fits the pod; `None` is a node that the inventory does not have.
    ///
    /// A rejected pod passes on known nodes: callers handle `Reject` themselves.
    pub fn check(&self, node: Option<&NodeEntry>) -> Result<(), UnfitReason> {
        match (self, node) {
            (PodQuery::NoGpu | PodQuery::NotEnforced(_), None) | (PodQuery::NoGpu | PodQuery::Reject(_), Some(_)) => {
                Ok(())
            }
            (PodQuery::Enforced { .. } | PodQuery::Reject(_), None) => Err(UnfitReason::UnknownNode),
            (PodQuery::NotEnforced(pod_request), Some(node)) => node.check_limits(&pod_request.request()),
            (
                PodQuery::Enforced {
                    policy,
                    pod_request,
                    classes,
                },
                Some(node),
            ) => node.check_fit_or_dra(&pod_request.request(), policy.sharing_rules(), classes),
        }
    }

    /// What the pod would use on its node, if that counts.
    pub fn pod_request(&self) -> Option<&PodRequest> {
        match self {
            PodQuery::NotEnforced(pod_request) | PodQuery::Enforced { pod_request, .. } => Some(pod_request),
            PodQuery::NoGpu | PodQuery::Reject(_) => None,
        }
    }
}

/// Checks one pod on many nodes.
///
/// Whether a node's offers suit the pod is the same for all nodes with equal offers, so it is
/// computed once for each kind of node. Only the usage is checked node by node.
#[derive(Debug)]
pub(super) struct SuitabilityCache<'q> {
    query: &'q PodQuery<'q>,
    /// Keyed by the address of the offers: the ledger stores equal offers once, and the nodes
    /// outlive the cache.
    by_offers: HashMap<*const NodeOffers, Result<(), UnfitReason>, foldhash::fast::RandomState>,
}

impl<'q> SuitabilityCache<'q> {
    pub(super) fn new(query: &'q PodQuery<'q>) -> Self {
        SuitabilityCache {
            query,
            by_offers: HashMap::default(),
        }
    }

    /// Same result as [`PodQuery::check`].
    pub(super) fn check(&mut self, node: Option<&'q NodeEntry>) -> Result<(), Cow<'_, UnfitReason>> {
        let (
            PodQuery::Enforced {
                policy,
                pod_request,
                classes,
            },
            Some(node),
        ) = (self.query, node)
        else {
            return self.query.check(node).map_err(Cow::Owned);
        };
        let pod_request: PodRequestRef<'_> = pod_request.request();
        let suitability = self
            .by_offers
            .entry(std::ptr::from_ref(&*node.offers))
            .or_insert_with(|| node.offers.check_suitability(&pod_request, policy.sharing_rules()));
        match suitability {
            Ok(()) => node.check_capacity(&pod_request).map_err(Cow::Owned),
            Err(unfit_reason) if may_be_served_by_dra(unfit_reason, classes) => node
                .check_dra(&pod_request, policy.sharing_rules(), classes)
                .map_err(Cow::Owned),
            Err(unfit_reason) => Err(Cow::Borrowed(unfit_reason)),
        }
    }
}
