//! From a governed pod to its decision.

use std::sync::Arc;

use super::candidate::{Candidate, candidates};
use super::outcome::{CandidateVerdict, ConsideredOption, Decision, Denial, Grant};
use super::resource_naming::ResourceNaming;
use super::{reach, wording};
use crate::gpu::{Counts, PodDemand, demand};
use crate::inventory::{
    Availability, AvailabilityQuery, Inventory, PendingAdmissions, PodRequestRef, SchedulingConstraints,
};
use crate::k8s::{ContainerKind, Pod, Requirement};
use crate::policy::Guarantees;
use crate::policy::Policy;

/// What is to be decided.
#[derive(Clone, Copy, Debug)]
pub struct DecisionInput<'q, 'a> {
    /// The pod.
    pub pod: &'q Pod<'a>,
    /// What it asks for; not empty.
    pub demand: &'q PodDemand,
    /// The policy that governs it.
    pub policy: &'q Policy,
    /// What it is promised, see [`super::guarantees_of`].
    pub terms: &'q Arc<Guarantees>,
    /// What the cluster has.
    pub inventory: &'q Inventory,
    /// What was promised a moment ago.
    pub pending: &'q PendingAdmissions,
}

/// A candidate with what it would take.
struct Weighed<'r> {
    candidate: Candidate<'r>,
    demand: Counts,
    /// What the pod's own selectors do not imply yet.
    requirements: Vec<Requirement<'static>>,
    /// Its place among all that was considered.
    place: usize,
    verdict: CandidateVerdict,
    availability: Availability,
}

/// Decides.
///
/// The pod that already asks for exactly what a rule of its policy would give keeps it, whatever is free: so a second pass over our
/// own output changes nothing, and a pod may narrow what its namespace allows.
pub fn decide(question: &DecisionInput<'_, '_>) -> Decision {
    let scheduling = SchedulingConstraints::of(question.pod);
    let mut weighed: Vec<Weighed<'_>> = Vec::new();
    let mut considered: Vec<ConsideredOption> = Vec::new();
    for rule in question.policy.sharing_rules() {
        match candidates(rule, question.demand, question.inventory) {
            Ok(list) => {
                for candidate in list {
                    let weighed_one = weigh(question, candidate, considered.len(), &scheduling);
                    considered.push(ConsideredOption {
                        strategy: rule.strategy,
                        naming: Some(weighed_one.candidate.naming),
                        verdict: weighed_one.verdict.clone(),
                        taken: false,
                    });
                    weighed.push(weighed_one);
                }
            }
            Err(denial) => considered.push(ConsideredOption {
                strategy: rule.strategy,
                naming: None,
                verdict: CandidateVerdict::Refused(denial),
                taken: false,
            }),
        }
    }

    let possible = || {
        weighed
            .iter()
            .enumerate()
            .filter(|(_, w)| !matches!(w.verdict, CandidateVerdict::Refused(_)))
    };
    let conforming = || possible().filter(|(_, w)| w.verdict == CandidateVerdict::Conforms);
    // One that needs nothing more goes first: on a second pass that is our own choice, and an earlier rule of the same strategy, which
    // was passed over, would narrow it to other products.
    let conforming = conforming()
        .find(|(_, w)| w.requirements.is_empty())
        .or_else(|| conforming().next());
    let supplied = |availability: Availability| possible().find(move |(_, w)| w.availability == availability);
    let chosen = conforming
        .or_else(|| supplied(Availability::Free))
        .or_else(|| supplied(Availability::Exists))
        .or_else(|| supplied(Availability::Delegated))
        .or_else(|| supplied(Availability::Closed))
        .or_else(|| supplied(Availability::None))
        .map(|(at, _)| at);
    let outcome = match chosen {
        Some(at) => {
            let weighed = weighed.swap_remove(at);
            considered[weighed.place].taken = true;
            Ok(grant(question, weighed, at == 0))
        }
        None => Err(denial(&considered)),
    };
    Decision { outcome, considered }
}

fn weigh<'r>(
    question: &DecisionInput<'_, '_>,
    candidate: Candidate<'r>,
    place: usize,
    scheduling: &SchedulingConstraints<'_>,
) -> Weighed<'r> {
    let Candidate { rule, naming, .. } = candidate;
    let (inventory, constraints) = (question.inventory, &scheduling.constraints);
    let identity = reach::identity(&candidate, inventory);
    // On a second pass the pod carries what is required here, so it must be judged with it already on the first.
    let identified = constraints.and(&identity);
    let narrowing = reach::narrowing(&candidate, question.demand.memory, inventory, &identified);
    let demand = effective(question.pod, &candidate);

    let keeps_names = candidate.targets.iter().all(|target| !target.is_change());
    let named_by_resource = matches!(naming, ResourceNaming::MigNamed(_));
    let conforms = keeps_names && (named_by_resource || identity.iter().all(|r| constraints.imply(r)));

    let all: Vec<Requirement<'static>> = identity.into_iter().chain(narrowing).collect();
    let against = || {
        constraints
            .against(&all)
            .unwrap_or_else(|| "spec.nodeSelector and spec.affinity: their combination".to_owned())
    };
    let clash = reach::pinned_product_clash(&candidate, &constraints.and(&all))
        .map(|words| format!("the pod's node selection: {words}"))
        .or_else(|| (!constraints.allow(&all)).then(against));
    let wanted = AvailabilityQuery {
        rule,
        request: PodRequestRef {
            demand: &demand,
            memory: question.demand.memory,
            terms: question.terms,
        },
        scheduling,
    };
    let (verdict, availability) = if let Some(clash) = clash {
        let (field, words) = clash.split_once(": ").unwrap_or(("spec", &clash));
        let denial = Denial::new(
            field,
            format!("{words} rules out every node with {naming} ({})", rule.strategy),
            "remove it, or move the pod to a namespace whose policy allows what it selects",
        );
        (CandidateVerdict::Refused(denial), Availability::None)
    } else {
        let availability = inventory.availability(&wanted, question.pending);
        (
            if conforms {
                CandidateVerdict::Conforms
            } else {
                CandidateVerdict::Availability(availability)
            },
            availability,
        )
    };
    let requirements = all.into_iter().filter(|r| !constraints.imply(r)).collect();
    Weighed {
        candidate,
        demand,
        requirements,
        place,
        verdict,
        availability,
    }
}

/// The effective request once every container asks for its target.
fn effective(pod: &Pod<'_>, candidate: &Candidate<'_>) -> Counts {
    let is_init = |kind| matches!(kind, ContainerKind::Init | ContainerKind::Sidecar);
    let each: Vec<Counts> = pod
        .spec
        .containers()
        .map(|(kind, index, _)| {
            candidate
                .targets
                .iter()
                .find(|t| is_init(t.container.kind) == is_init(kind) && t.container.index == index)
                .map(super::outcome::Target::after)
                .unwrap_or_default()
        })
        .collect();
    demand::effective_of(pod, &each)
}

fn grant(question: &DecisionInput<'_, '_>, weighed: Weighed<'_>, first: bool) -> Grant {
    let Weighed {
        candidate,
        demand,
        requirements,
        verdict,
        availability,
        ..
    } = weighed;
    let (strategy, naming) = (candidate.rule.strategy, candidate.naming);
    let several = question.demand.containers.len() > 1;
    let mut warnings: Vec<String> = candidate
        .targets
        .iter()
        .filter_map(|target| wording::change(target, strategy, several))
        .collect();
    warnings.extend(
        candidate
            .targets
            .iter()
            .filter_map(|target| wording::caveat(target, strategy)),
    );
    warnings.extend(wording::wait(naming.resource(), strategy, availability));
    if availability < Availability::Free
        && let Some(class) = question.inventory.device_classes().serving(naming.resource())
    {
        warnings.push(wording::served(naming.resource(), strategy, availability, class));
    }
    Grant {
        strategy,
        because: wording::because(
            strategy,
            naming,
            availability,
            verdict == CandidateVerdict::Conforms,
            first,
        ),
        targets: candidate.targets,
        requirements,
        demand,
        availability,
        warnings,
    }
}

/// The denial that tells most: the first that was found, since the first rule is what the policy prefers.
fn denial(considered: &[ConsideredOption]) -> Denial {
    considered
        .iter()
        .find_map(|one| match &one.verdict {
            CandidateVerdict::Refused(denial) => Some(denial.clone()),
            CandidateVerdict::Conforms | CandidateVerdict::Availability(_) => None,
        })
        .unwrap_or_else(|| Denial::new("spec", "the policy allows no strategy", "mend the policy"))
}
