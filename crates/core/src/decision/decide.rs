//! The decision for a governed pod.

use std::sync::Arc;

use super::candidate::{Candidate, candidates};
use super::model::{CandidateStatus, CandidateSummary, ContainerRewrite, Decision, Denial, Grant, ResourceNaming};
use super::{messages, node_requirements};
use crate::gpu::{Counts, PodDemand, demand};
use crate::inventory::{
    Availability, AvailabilityQuery, Inventory, PendingAdmissions, PodRequestRef, SchedulingConstraints,
};
use crate::k8s::{ContainerKind, NormalizedAffinity, Pod, Requirement, SelectionConflict};
use crate::policy::{Guarantees, Policy};

#[derive(Clone, Copy, Debug)]
pub struct DecisionInput<'q, 'a> {
    pub pod: &'q Pod<'a>,
    /// Must not be empty.
    pub demand: &'q PodDemand,
    /// The policy that governs the pod.
    pub policy: &'q Policy,
    pub guarantees: &'q Arc<Guarantees>,
    pub inventory: &'q Inventory,
    /// Recent grants whose pods the inventory does not show yet.
    pub pending: &'q PendingAdmissions,
}

/// A candidate, evaluated against the pod and the inventory.
struct EvaluatedCandidate<'r> {
    candidate: Candidate<'r>,
    demand: Counts,
    /// What the pod does not require of its node yet.
    requirements: Vec<Requirement<'static>>,
    /// The index in [`Decision::considered`].
    index: usize,
    status: CandidateStatus,
    availability: Availability,
}

/// Decides what the pod gets.
///
/// A pod that already requests exactly what a rule of its policy gives keeps it, whatever is free.
/// So a second pass over our own output changes nothing, and a pod may restrict itself further than
/// its policy.
pub fn decide(input: &DecisionInput<'_, '_>) -> Decision {
    let scheduling = SchedulingConstraints::from_pod(input.pod);
    let affinity = scheduling.constraints.normalize();
    let mut evaluated: Vec<EvaluatedCandidate<'_>> = Vec::new();
    let mut considered: Vec<CandidateSummary> = Vec::new();
    for rule in input.policy.sharing_rules() {
        match candidates(rule, input.demand, input.inventory) {
            Ok(list) => {
                for candidate in list {
                    let candidate = evaluate(input, candidate, considered.len(), &scheduling, &affinity);
                    considered.push(CandidateSummary {
                        strategy: rule.strategy,
                        naming: Some(candidate.candidate.naming),
                        status: candidate.status.clone(),
                        chosen: false,
                    });
                    evaluated.push(candidate);
                }
            }
            Err(denial) => considered.push(CandidateSummary {
                strategy: rule.strategy,
                naming: None,
                status: CandidateStatus::Rejected(denial),
                chosen: false,
            }),
        }
    }

    let result = match choose(&evaluated) {
        Some(at) => {
            let chosen = evaluated.swap_remove(at);
            considered[chosen.index].chosen = true;
            Ok(grant(input, chosen, at == 0))
        }
        None => Err(first_denial(&considered)),
    };
    Decision { result, considered }
}

/// The index of the candidate that the pod gets; `None` if all are rejected.
fn choose(evaluated: &[EvaluatedCandidate<'_>]) -> Option<usize> {
    let possible = || {
        evaluated
            .iter()
            .enumerate()
            .filter(|(_, e)| !matches!(e.status, CandidateStatus::Rejected(_)))
    };
    let compliant = || possible().filter(|(_, e)| e.status == CandidateStatus::Compliant);
    // Prefer one without missing requirements. On a second pass it is our own choice, while an
    // earlier rule of the same strategy, which was passed over, would narrow the pod to other
    // products.
    let compliant = compliant()
        .find(|(_, e)| e.requirements.is_empty())
        .or_else(|| compliant().next());
    let by_availability = || {
        [
            Availability::Free,
            Availability::Taken,
            Availability::ServedByDra,
            Availability::Unschedulable,
            Availability::None,
        ]
        .into_iter()
        .find_map(|availability| possible().find(|(_, e)| e.availability == availability))
    };
    compliant.or_else(by_availability).map(|(at, _)| at)
}

fn evaluate<'r>(
    input: &DecisionInput<'_, '_>,
    candidate: Candidate<'r>,
    index: usize,
    scheduling: &SchedulingConstraints<'_>,
    affinity: &NormalizedAffinity<'_>,
) -> EvaluatedCandidate<'r> {
    let Candidate { rule, naming, .. } = candidate;
    let inventory = input.inventory;
    let identifying = node_requirements::identifying(&candidate, inventory);
    // On a second pass the pod has the identifying requirements. Include them on the first pass
    // too, so that both passes give the same result.
    let identified = affinity.with_requirements(&identifying);
    let restricting = node_requirements::restricting(&candidate, input.demand.memory, inventory, &identified);
    let demand = effective_counts(input.pod, &candidate);

    let keeps_names = candidate.rewrites.iter().all(|rewrite| !rewrite.is_change());
    let named_by_resource = matches!(naming, ResourceNaming::MigNamed(_));
    let is_compliant = keeps_names && (named_by_resource || identifying.iter().all(|r| affinity.implies(r)));

    let all: Vec<Requirement<'static>> = identifying.into_iter().chain(restricting).collect();
    let conflict = node_requirements::product_conflict(&candidate, &affinity.with_requirements(&all))
        .map(|selection| SelectionConflict {
            field: "the pod's node selection",
            reason: selection,
        })
        .or_else(|| {
            let conflict = || {
                affinity.conflict_with(&all).unwrap_or_else(|| SelectionConflict {
                    field: "spec.nodeSelector and spec.affinity",
                    reason: "their combination".to_owned(),
                })
            };
            (!affinity.is_compatible_with(&all)).then(conflict)
        });
    let query = AvailabilityQuery {
        rule,
        request: PodRequestRef {
            demand: &demand,
            memory: input.demand.memory,
            guarantees: input.guarantees,
        },
        scheduling,
    };
    let (status, availability) = if let Some(SelectionConflict { field, reason }) = conflict {
        let denial = Denial::new(
            field,
            format!("{reason} rules out every node with {naming} ({})", rule.strategy),
            "remove it, or move the pod to a namespace whose policy allows what it selects",
        );
        (CandidateStatus::Rejected(denial), Availability::None)
    } else {
        let availability = inventory.availability(&query, input.pending);
        let status = if is_compliant {
            CandidateStatus::Compliant
        } else {
            CandidateStatus::Availability(availability)
        };
        (status, availability)
    };
    let requirements = all.into_iter().filter(|r| !affinity.implies(r)).collect();
    EvaluatedCandidate {
        candidate,
        demand,
        requirements,
        index,
        status,
        availability,
    }
}

/// The effective request of the pod once its containers are rewritten.
fn effective_counts(pod: &Pod<'_>, candidate: &Candidate<'_>) -> Counts {
    let is_init = |kind| matches!(kind, ContainerKind::Init | ContainerKind::Sidecar);
    // The rewrites are in the order of the containers.
    let mut rewrites = candidate.rewrites.iter().peekable();
    let each: Vec<Counts> = pod
        .spec
        .containers()
        .map(|(kind, index, _)| {
            rewrites
                .next_if(|r| is_init(r.container.kind) == is_init(kind) && r.container.index == index)
                .map(ContainerRewrite::counts)
                .unwrap_or_default()
        })
        .collect();
    debug_assert!(rewrites.next().is_none(), "every rewrite is of a container");
    demand::effective_counts(pod, &each)
}

fn grant(input: &DecisionInput<'_, '_>, chosen: EvaluatedCandidate<'_>, is_first: bool) -> Grant {
    let EvaluatedCandidate {
        candidate,
        demand,
        requirements,
        status,
        availability,
        ..
    } = chosen;
    let (strategy, naming) = (candidate.rule.strategy, candidate.naming);
    let name_containers = input.demand.containers.len() > 1;
    let changes = candidate
        .rewrites
        .iter()
        .filter_map(|rewrite| messages::change(rewrite, strategy, name_containers));
    let mig_devices = candidate
        .rewrites
        .iter()
        .filter_map(|rewrite| messages::mig_devices(rewrite, strategy));
    let mut warnings: Vec<String> = changes.chain(mig_devices).collect();
    warnings.extend(messages::waiting(naming.resource(), strategy, availability));
    if availability < Availability::Free
        && let Some(class) = input.inventory.device_classes().class_for(naming.resource())
    {
        warnings.push(messages::served_by_dra(
            naming.resource(),
            strategy,
            availability,
            class,
        ));
    }
    let is_compliant = status == CandidateStatus::Compliant;
    Grant {
        strategy,
        reason: messages::reason(strategy, naming, availability, is_compliant, is_first),
        rewrites: candidate.rewrites,
        requirements,
        demand,
        availability,
        warnings,
    }
}

/// The first denial is the most useful one, because the policy prefers its first rule.
fn first_denial(considered: &[CandidateSummary]) -> Denial {
    considered
        .iter()
        .find_map(|summary| match &summary.status {
            CandidateStatus::Rejected(denial) => Some(denial.clone()),
            CandidateStatus::Compliant | CandidateStatus::Availability(_) => None,
        })
        .unwrap_or_else(Denial::no_strategy)
}
