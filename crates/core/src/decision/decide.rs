//! From a governed pod to its decision.

use std::sync::Arc;

use super::candidate::{Candidate, candidates};
use super::outcome::{Considered, Decision, Denial, Grant, Verdict};
use super::scheme::Scheme;
use super::{reach, wording};
use crate::gpu::{Counts, PodDemand, demand};
use crate::inventory::{Claims, Holding, Inventory, Supply, Wanted, Whereabouts};
use crate::k8s::{ContainerKind, Pod, Requirement};
use crate::policy::Policy;
use crate::policy::Terms;

/// What is to be decided.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q, 'a> {
    /// The pod.
    pub pod: &'q Pod<'a>,
    /// What it asks for; not empty.
    pub demand: &'q PodDemand,
    /// The policy that governs it.
    pub policy: &'q Policy,
    /// What it is promised, see [`super::terms_of`].
    pub terms: &'q Arc<Terms>,
    /// What the cluster has.
    pub inventory: &'q Inventory,
    /// What was promised a moment ago.
    pub claims: &'q Claims,
}

/// A candidate with what it would take.
struct Weighed<'r> {
    candidate: Candidate<'r>,
    demand: Counts,
    /// What the pod's own selectors do not imply yet.
    requirements: Vec<Requirement<'static>>,
    /// Its place among all that was considered.
    place: usize,
    verdict: Verdict,
    supply: Supply,
}

/// Decides.
///
/// The pod that already asks for exactly what a rule of its policy would give keeps it, whatever is free: so a second pass over our
/// own output changes nothing, and a pod may narrow what its namespace allows.
pub fn decide(question: &Question<'_, '_>) -> Decision {
    let whereabouts = Whereabouts::of(question.pod);
    let mut weighed: Vec<Weighed<'_>> = Vec::new();
    let mut considered: Vec<Considered> = Vec::new();
    for rule in question.policy.sharing_rules() {
        match candidates(rule, question.demand, question.inventory) {
            Ok(list) => {
                for candidate in list {
                    let weighed_one = weigh(question, candidate, considered.len(), &whereabouts);
                    considered.push(Considered {
                        strategy: rule.strategy,
                        scheme: Some(weighed_one.candidate.scheme),
                        verdict: weighed_one.verdict.clone(),
                        taken: false,
                    });
                    weighed.push(weighed_one);
                }
            }
            Err(denial) => considered.push(Considered {
                strategy: rule.strategy,
                scheme: None,
                verdict: Verdict::Refused(denial),
                taken: false,
            }),
        }
    }

    let possible = || {
        weighed
            .iter()
            .enumerate()
            .filter(|(_, w)| !matches!(w.verdict, Verdict::Refused(_)))
    };
    let conforming = || possible().filter(|(_, w)| w.verdict == Verdict::Conforms);
    // One that needs nothing more goes first: on a second pass that is our own choice, and an earlier rule of the same strategy, which
    // was passed over, would narrow it to other products.
    let conforming = conforming()
        .find(|(_, w)| w.requirements.is_empty())
        .or_else(|| conforming().next());
    let supplied = |supply: Supply| possible().find(move |(_, w)| w.supply == supply);
    let chosen = conforming
        .or_else(|| supplied(Supply::Free))
        .or_else(|| supplied(Supply::Exists))
        .or_else(|| supplied(Supply::Delegated))
        .or_else(|| supplied(Supply::Closed))
        .or_else(|| supplied(Supply::None))
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
    question: &Question<'_, '_>,
    candidate: Candidate<'r>,
    place: usize,
    whereabouts: &Whereabouts<'_>,
) -> Weighed<'r> {
    let Candidate { rule, scheme, .. } = candidate;
    let (inventory, constraints) = (question.inventory, &whereabouts.constraints);
    let identity = reach::identity(&candidate, inventory);
    // On a second pass the pod carries what is required here, so it must be judged with it already on the first.
    let identified = constraints.and(&identity);
    let narrowing = reach::narrowing(&candidate, question.demand.memory, inventory, &identified);
    let demand = effective(question.pod, &candidate);

    let keeps_names = candidate.targets.iter().all(|target| !target.is_change());
    let named_by_resource = matches!(scheme, Scheme::MigNamed(_));
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
    let wanted = Wanted {
        rule,
        holding: Holding {
            demand: &demand,
            memory: question.demand.memory,
            terms: question.terms,
        },
        whereabouts,
    };
    let (verdict, supply) = if let Some(clash) = clash {
        let (field, words) = clash.split_once(": ").unwrap_or(("spec", &clash));
        let denial = Denial::new(
            field,
            format!("{words} rules out every node with {scheme} ({})", rule.strategy),
            "remove it, or move the pod to a namespace whose policy allows what it selects",
        );
        (Verdict::Refused(denial), Supply::None)
    } else {
        let supply = inventory.supply(&wanted, question.claims);
        (
            if conforms {
                Verdict::Conforms
            } else {
                Verdict::Supply(supply)
            },
            supply,
        )
    };
    let requirements = all.into_iter().filter(|r| !constraints.imply(r)).collect();
    Weighed {
        candidate,
        demand,
        requirements,
        place,
        verdict,
        supply,
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

fn grant(question: &Question<'_, '_>, weighed: Weighed<'_>, first: bool) -> Grant {
    let Weighed {
        candidate,
        demand,
        requirements,
        verdict,
        supply,
        ..
    } = weighed;
    let (strategy, scheme) = (candidate.rule.strategy, candidate.scheme);
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
    warnings.extend(wording::wait(scheme.resource(), strategy, supply));
    if supply < Supply::Free
        && let Some(class) = question.inventory.device_classes().serving(scheme.resource())
    {
        warnings.push(wording::served(scheme.resource(), strategy, supply, class));
    }
    Grant {
        strategy,
        because: wording::because(strategy, scheme, supply, verdict == Verdict::Conforms, first),
        targets: candidate.targets,
        requirements,
        demand,
        supply,
        warnings,
    }
}

/// The denial that tells most: the first that was found, since the first rule is what the policy prefers.
fn denial(considered: &[Considered]) -> Denial {
    considered
        .iter()
        .find_map(|one| match &one.verdict {
            Verdict::Refused(denial) => Some(denial.clone()),
            Verdict::Conforms | Verdict::Supply(_) => None,
        })
        .unwrap_or_else(|| Denial::new("spec", "the policy allows no strategy", "mend the policy"))
}
