//! Explains pods under given policies on a given cluster.
//!
//! The answer is the webhook's own: the pod goes through [`admit`](fn@admit) as if the API server
//! had sent it. What that does not tell - who governs and why, what was considered - comes from the
//! functions that it calls.

use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::governance::governance;
use super::node_fit::{NodeFit, PodToPlace};
use super::report::{
    AdmissionResult, Candidate, CandidateStatus, ContainerDemand, Demand, Governance, Isolation, IsolationDenial,
    Origin, PolicyLimits, Report, resources,
};
use crate::workload::Workload;
use apportion_core::admission::review::Request;
use apportion_core::admission::{Admission, AdmissionContext, admit};
use apportion_core::decision::{
    CandidateStatus as DecisionStatus, CandidateSummary, Decision, DecisionInput, Grant, decide, isolation,
};
use apportion_core::gpu::gpu_bypass::{gpu_bypasses, node_name};
use apportion_core::gpu::{Counts, GpuBypass, PodDemand, demand};
use apportion_core::inventory::{Availability, Inventory, PendingAdmissions};
use apportion_core::k8s::{Pod, defaults};
use apportion_core::patch::{self, PatchError};
use apportion_core::policy::Guarantees;
use apportion_core::policy::OnUnknown;
use apportion_core::policy::{Governed, Mode, Policy, PolicySet};

/// Why a pod cannot be explained. `workload` is its file, kind and name.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(transparent)]
    Serialize(serde_json::Error),
    /// Displays its cause, so it has no source.
    #[error("{workload}: the pod cannot be read: {error}")]
    Pod { workload: String, error: serde_json::Error },
    #[error("{workload}: the patch does not apply")]
    Patch { workload: String, source: PatchError },
    #[error("the patched pod cannot be read")]
    PatchedPod(#[source] serde_json::Error),
}

/// The policies and the cluster that pods are explained by.
#[derive(Debug)]
pub struct Explainer {
    policies: PolicySet,
    /// The same policies in mode Enforce, to tell what policies in another mode would do.
    enforced: PolicySet,
    inventory: Inventory,
    pending: PendingAdmissions,
}

impl Explainer {
    pub fn new(policies: PolicySet, inventory: Inventory) -> Self {
        let enforced = policies.iter().cloned().map(|policy| Policy {
            mode: Mode::Enforce,
            ..policy
        });
        Explainer {
            enforced: PolicySet::new(enforced.collect()),
            policies,
            inventory,
            pending: PendingAdmissions::default(),
        }
    }

    pub fn explain(&self, workload: &Workload) -> Result<Report, ExplainError> {
        let mut before = workload.pod.clone();
        defaults::fill_requests(&mut before);
        let raw = to_raw_value(&before).map_err(ExplainError::Serialize)?;
        let label = || format!("{}: {} {}", workload.source, workload.kind, workload.name);
        let pod: Pod<'_> = serde_json::from_str(raw.get()).map_err(|error| ExplainError::Pod {
            workload: label(),
            // The error gives a line and column of JSON that the user never sees. Read from the
            // value, the same mistake has no location.
            error: Pod::deserialize(&before).err().unwrap_or(error),
        })?;
        let request = Request::dry_run_creation(&raw, &workload.namespace);
        let actual = admit(&request, &self.context(&self.policies));
        let enforced = admit(&request, &self.context(&self.enforced));
        let mut after = before.clone();
        patch::apply(&mut after, &enforced.response.patch).map_err(|source| ExplainError::Patch {
            workload: label(),
            source,
        })?;

        let governed = self
            .inventory
            .governing(&self.policies, &workload.namespace, &pod.metadata.labels);
        let (demand, unreadable) = match PodDemand::from_pod(&pod) {
            Ok(demand) => (demand, None),
            Err(error) => (PodDemand::default(), Some(error.to_string())),
        };
        // A policy that does not enforce guarantees nothing; the report tells what it would.
        let enforced_policy = match governed {
            Governed::By(policy) => self.enforced.get(policy.name.as_str()),
            _ => None,
        };
        let guarantees = Arc::new(Guarantees::under_policy(
            enforced_policy,
            &workload.namespace,
            self.inventory.namespace(&workload.namespace),
        ));
        let decision = match governed {
            Governed::By(policy) if !demand.is_empty() && !pod.is_mirror() => Some(decide(&DecisionInput {
                pod: &pod,
                demand: &demand,
                policy,
                guarantees: &guarantees,
                inventory: &self.inventory,
                pending: &self.pending,
            })),
            _ => None,
        };
        let is_denied = enforced.response.denial.is_some();
        let nodes = match (&decision, governed) {
            (Some(_), Governed::By(policy)) if !is_denied => {
                Some(self.node_fit(&pod, &after, policy, &demand, &guarantees)?)
            }
            _ => None,
        };
        // A grant is of no use to a pod that is denied for another reason, such as isolation.
        let grant = decision.as_ref().and_then(granted).filter(|_| !is_denied);
        Ok(Report {
            source: workload.source.clone(),
            workload: Origin {
                kind: workload.kind.clone(),
                name: workload.name.clone(),
                replicas: workload.replicas,
            },
            namespace: workload.namespace.clone(),
            pod: pod.metadata.display_name(),
            governance: Governance {
                limits: enforced_policy.map(|_| PolicyLimits::of(&guarantees)),
                ..governance(&pod, &workload.namespace, governed, &self.policies, &self.inventory)
            },
            demand: Demand {
                unreadable,
                ..demand_of(&pod, &demand, grant)
            },
            considered: decision
                .iter()
                .flat_map(|decision| &decision.considered)
                .map(candidate)
                .collect(),
            isolation: match governed {
                Governed::By(policy) if !pod.is_mirror() => isolation_of(&pod, policy),
                _ => Isolation::default(),
            },
            outcome: admission_result(&actual, &enforced, grant),
            documents: (before != after).then_some((before, after)),
            patch: enforced.response.patch,
            nodes,
        })
    }

    fn context<'c>(&'c self, policies: &'c PolicySet) -> AdmissionContext<'c, 'c> {
        AdmissionContext {
            policies,
            inventory: &self.inventory,
            pending: &self.pending,
            on_unknown: OnUnknown::default(),
            own_namespace: None,
            // Unknown here: it is a flag of the server.
            scheduler_name: None,
        }
    }

    fn node_fit(
        &self,
        pod: &Pod<'_>,
        after: &Value,
        policy: &Policy,
        demand: &PodDemand,
        guarantees: &Arc<Guarantees>,
    ) -> Result<NodeFit, ExplainError> {
        let after = after.to_string();
        let pod = PodToPlace {
            original: pod,
            patched: &serde_json::from_str(&after).map_err(ExplainError::PatchedPod)?,
            memory: demand.memory,
            guarantees,
        };
        Ok(NodeFit::of(pod, policy, &self.inventory))
    }
}

fn granted(decision: &Decision) -> Option<&Grant> {
    decision.result.as_ref().ok()
}

fn demand_of(pod: &Pod<'_>, demand: &PodDemand, grant: Option<&Grant>) -> Demand {
    let after = |at: usize| -> Option<Counts> { Some(grant?.rewrites.get(at)?.counts()) };
    Demand {
        containers: demand
            .containers
            .iter()
            .enumerate()
            .map(|(at, container)| ContainerDemand {
                name: container.name.clone(),
                field: container.field(),
                before: resources(&container.counts),
                after: after(at).map(|counts| resources(&counts)),
            })
            .collect(),
        effective: resources(&demand::effective_demand(pod)),
        memory_mebibytes: demand.memory.map(|memory| memory.0),
        unreadable: None,
    }
}

fn isolation_of(pod: &Pod<'_>, policy: &Policy) -> Isolation {
    let bypasses: Vec<_> = gpu_bypasses(pod).into_iter().chain(node_name(pod)).collect();
    let container_name = |bypass: &GpuBypass| {
        let (kind, index) = bypass.container?;
        Some(pod.spec.container(kind, index as usize)?.name.to_string())
    };
    let unhidden = isolation::unhidden(&policy.isolation, &bypasses);
    Isolation {
        hidden: unhidden.into_iter().filter_map(container_name).collect(),
        denials: isolation::denials(&policy.isolation, &bypasses)
            .into_iter()
            .map(|denial| IsolationDenial {
                field: denial.field,
                reason: denial.reason,
                hint: denial.hint,
            })
            .collect(),
    }
}

fn candidate(considered: &CandidateSummary) -> Candidate {
    let (status, reason) = match &considered.status {
        DecisionStatus::Compliant => (CandidateStatus::Conforms, None),
        DecisionStatus::Availability(Availability::Free) => (CandidateStatus::Free, None),
        DecisionStatus::Availability(Availability::Taken) => (CandidateStatus::Busy, None),
        DecisionStatus::Availability(Availability::ServedByDra) => (CandidateStatus::Delegated, None),
        DecisionStatus::Availability(Availability::Unschedulable) => (CandidateStatus::Closed, None),
        DecisionStatus::Availability(Availability::None) => (CandidateStatus::Absent, None),
        DecisionStatus::Rejected(denial) => (CandidateStatus::Refused, Some(denial.reason.clone())),
    };
    Candidate {
        strategy: considered.strategy.as_str(),
        naming: considered.naming.map(|naming| naming.to_string()),
        status,
        reason,
        taken: considered.chosen,
    }
}

/// The result is that of the policies in their own mode. The reason is a denial's if there is one,
/// even if the policy would not enforce it.
fn admission_result(actual: &Admission<'_>, enforced: &Admission<'_>, grant: Option<&Grant>) -> AdmissionResult {
    let denial = actual.response.denial.as_ref();
    AdmissionResult {
        result: actual.outcome.as_str(),
        admitted: denial.is_none(),
        strategy: grant.map(|grant| grant.strategy.as_str()),
        because: match denial.or(enforced.response.denial.as_ref()) {
            Some(denial) => denial.message.clone(),
            None => actual.reason.clone(),
        },
        warnings: actual.response.warnings.clone(),
    }
}
