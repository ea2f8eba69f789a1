//! From a pod to what is to be said of it.
//!
//! The answer is the webhook's own: the pod is put to [`admit`](fn@apportion_core::admission::admit) as the API server would put it. What that does not say - who governs
//! and why, what was considered - comes from the functions that it calls.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::governance::governance;
use super::nodes::{Nodes, Seeker};
use super::report::{
    ContainerAsked, Governance, Isolated, NodeQuery, Origin, Promised, Report, Shut, Verdict, Way, WayVerdict,
    resources,
};
use super::workload::Workload;
use apportion_core::admission::review::Request;
use apportion_core::admission::{Admission, AdmissionContext, admit};
use apportion_core::decision;
use apportion_core::decision::{ConsideredOption, DecisionInput, Grant, decide, isolation};
use apportion_core::gpu::gpu_bypass::{gpu_bypasses, node_name};
use apportion_core::gpu::{Counts, PodDemand, demand};
use apportion_core::inventory::{Availability, Inventory, PendingAdmissions};
use apportion_core::k8s::{Pod, defaults};
use apportion_core::patch;
use apportion_core::policy::Guarantees;
use apportion_core::policy::governance::OnUnknown;
use apportion_core::policy::{Governed, Mode, Policy, PolicySet};

/// What pods are judged by.
#[derive(Debug)]
pub struct Inquiry {
    policies: PolicySet,
    /// The same policies, all in mode Enforce: what would be.
    enforced: PolicySet,
    inventory: Inventory,
    pending: PendingAdmissions,
}

impl Inquiry {
    /// An inquiry with these policies in that cluster.
    pub fn new(policies: PolicySet, inventory: Inventory) -> Self {
        let enforced = policies.iter().cloned().map(|policy| Policy {
            mode: Mode::Enforce,
            ..policy
        });
        Inquiry {
            enforced: PolicySet::new(enforced.collect()),
            policies,
            inventory,
            pending: PendingAdmissions::default(),
        }
    }

    /// Judges the pod of a workload.
    pub fn report(&self, workload: &Workload) -> anyhow::Result<Report> {
        let mut before = workload.pod.clone();
        defaults::fill_requests(&mut before);
        let raw = to_raw_value(&before)?;
        let named = || format!("{}: {} {}", workload.source, workload.kind, workload.name);
        let pod: Pod<'_> = serde_json::from_str(raw.get()).map_err(|error| {
            // The place is one in our own JSON, which nobody has seen.
            let words = error.to_string();
            let words = words.split(" at line ").next().unwrap_or_default();
            anyhow!("{}: the pod can not be read: {words}", named())
        })?;
        let request = Request::trial(&raw, &workload.namespace);
        let actual = admit(&request, &self.context(&self.policies));
        let enforced = admit(&request, &self.context(&self.enforced));
        let mut after = before.clone();
        patch::apply(&mut after, &enforced.response.patch)
            .with_context(|| format!("{}: the patch does not apply", named()))?;

        let governed = self
            .inventory
            .governing(&self.policies, &workload.namespace, &pod.metadata.labels);
        let (demand, unreadable) = match PodDemand::of(&pod) {
            Ok(demand) => (demand, None),
            Err(error) => (PodDemand::default(), Some(error.to_string())),
        };
        // Of a policy that only watches, what it would promise is told.
        let would = match governed {
            Governed::By(policy) => self.enforced.get(policy.name.as_str()),
            _ => None,
        };
        let terms = Arc::new(Guarantees::under(
            would,
            &workload.namespace,
            self.inventory.namespace(&workload.namespace),
        ));
        let decision = match governed {
            Governed::By(policy) if !demand.is_empty() && !pod.is_mirror() => Some(decide(&DecisionInput {
                pod: &pod,
                demand: &demand,
                policy,
                terms: &terms,
                inventory: &self.inventory,
                pending: &self.pending,
            })),
            _ => None,
        };
        let nodes = match (&decision, governed) {
            (Some(_), Governed::By(policy)) if enforced.response.denial.is_none() => {
                Some(self.nodes(&pod, &after, policy, &demand, &terms)?)
            }
            _ => None,
        };
        // What could be shared is of no use to a pod that is turned away for something else.
        let grant = decision
            .as_ref()
            .and_then(|decision| decision.outcome.as_ref().ok())
            .filter(|_| enforced.response.denial.is_none());
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
                limits: would.map(|_| Promised::of(&terms)),
                ..governance(&pod, &workload.namespace, governed, &self.policies, &self.inventory)
            },
            demand: NodeQuery {
                unreadable,
                ..asked(&pod, &demand, grant)
            },
            considered: decision.iter().flat_map(|d| &d.considered).map(way).collect(),
            isolation: match governed {
                Governed::By(policy) if !pod.is_mirror() => isolated(&pod, policy),
                _ => Isolated::default(),
            },
            outcome: verdict(&actual, &enforced, grant),
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
            // Which scheduler a server is set to give pods to is not known here.
            scheduler_name: None,
        }
    }

    fn nodes(
        &self,
        pod: &Pod<'_>,
        after: &Value,
        policy: &Policy,
        demand: &PodDemand,
        terms: &Arc<Guarantees>,
    ) -> anyhow::Result<Nodes> {
        let after = after.to_string();
        let seeker = Seeker {
            before: pod,
            after: &serde_json::from_str(&after).context("the patched pod can not be read")?,
            memory: demand.memory,
            terms,
        };
        Ok(Nodes::of(seeker, policy, &self.inventory))
    }
}

fn asked(pod: &Pod<'_>, demand: &PodDemand, grant: Option<&Grant>) -> NodeQuery {
    let after = |at: usize| -> Option<Counts> { Some(grant?.targets.get(at)?.after()) };
    NodeQuery {
        containers: demand
            .containers
            .iter()
            .enumerate()
            .map(|(at, container)| ContainerAsked {
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

fn isolated(pod: &Pod<'_>, policy: &Policy) -> Isolated {
    let doors: Vec<_> = gpu_bypasses(pod).into_iter().chain(node_name(pod)).collect();
    let name = |door: &apportion_core::gpu::GpuBypass| {
        let (kind, index) = door.container?;
        Some(pod.spec.container(kind, index as usize)?.name.to_string())
    };
    let unhidden = isolation::unhidden(&policy.isolation, &doors);
    Isolated {
        hidden: unhidden.into_iter().filter_map(name).collect(),
        shut: isolation::denials(&policy.isolation, &doors)
            .into_iter()
            .map(|denial| Shut {
                field: denial.field,
                reason: denial.reason,
                hint: denial.hint,
            })
            .collect(),
    }
}

fn way(considered: &ConsideredOption) -> Way {
    use decision::CandidateVerdict as Came;
    let (verdict, reason) = match &considered.verdict {
        Came::Conforms => (WayVerdict::Conforms, None),
        Came::Availability(Availability::Free) => (WayVerdict::Free, None),
        Came::Availability(Availability::Exists) => (WayVerdict::Busy, None),
        Came::Availability(Availability::Delegated) => (WayVerdict::Delegated, None),
        Came::Availability(Availability::Closed) => (WayVerdict::Closed, None),
        Came::Availability(Availability::None) => (WayVerdict::Absent, None),
        Came::Refused(denial) => (WayVerdict::Refused, Some(denial.reason.clone())),
    };
    Way {
        strategy: considered.strategy.as_str(),
        naming: considered.naming.map(|naming| naming.to_string()),
        verdict,
        reason,
        taken: considered.taken,
    }
}

/// What happens is said by the policies as they are; why, by the decision where there is one.
fn verdict(actual: &Admission<'_>, enforced: &Admission<'_>, grant: Option<&Grant>) -> Verdict {
    let refusal = actual.response.denial.as_ref();
    Verdict {
        result: actual.outcome.as_str(),
        admitted: refusal.is_none(),
        strategy: grant.map(|grant| grant.strategy.as_str()),
        because: match refusal.or(enforced.response.denial.as_ref()) {
            Some(refusal) => refusal.message.clone(),
            None => actual.because.clone(),
        },
        warnings: actual.response.warnings.clone(),
    }
}
