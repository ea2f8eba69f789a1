//! Ways to serve a pod under one rule.

use super::outcome::{Denial, Target};
use super::resource_naming::ResourceNaming;
use super::target;
use crate::gpu::{ContainerDemand, GpuResource, PodDemand, Strategy};
use crate::inventory::{Inventory, Offer, OfferClass};
use crate::policy::SharingRule;
use apportion_mig::memory::MiB;
use apportion_mig::profile::MigProfile;

/// A way to serve a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'r> {
    /// The rule.
    pub rule: &'r SharingRule,
    /// How nodes name it.
    pub naming: ResourceNaming,
    /// What each container gets.
    pub targets: Vec<Target>,
}

impl Candidate<'_> {
    /// The resources that its containers ask for, each once.
    pub fn resources(&self) -> Vec<GpuResource> {
        let mut resources: Vec<GpuResource> = self.targets.iter().map(|target| target.resource).collect();
        resources.sort_unstable();
        resources.dedup();
        resources
    }
}

/// All ways to serve a pod under a rule, in order of preference, or why there is none.
///
/// A name that says what it is goes before one that needs a selector: mixed MIG before single, `.shared` before plain.
pub fn candidates<'r>(
    rule: &'r SharingRule,
    demand: &PodDemand,
    inventory: &Inventory,
) -> Result<Vec<Candidate<'r>>, Denial> {
    let class = OfferClass {
        strategy: Strategy::Mig,
        resource: GpuResource::Gpu,
    };
    let is_single = |profile: MigProfile| {
        inventory
            .variants(class)
            .any(|offer| offer.profile == Some(profile) && offer.serves(rule, None).is_ok())
    };
    candidates_where(rule, demand, inventory, is_single)
}

/// All ways to serve a pod under a rule on whatever nodes there may be.
pub fn every_candidate<'r>(rule: &'r SharingRule, demand: &PodDemand) -> Result<Vec<Candidate<'r>>, Denial> {
    candidates_where(rule, demand, &Inventory::default(), |_| true)
}

fn candidates_where<'r>(
    rule: &'r SharingRule,
    demand: &PodDemand,
    inventory: &Inventory,
    is_single: impl Fn(MigProfile) -> bool,
) -> Result<Vec<Candidate<'r>>, Denial> {
    match rule.strategy {
        Strategy::Exclusive => {
            let targets = demand.containers.iter().map(target::whole).collect::<Result<_, _>>()?;
            Ok(vec![Candidate {
                rule,
                naming: ResourceNaming::Whole,
                targets,
            }])
        }
        Strategy::Mig => mig(rule, demand, inventory, is_single),
        Strategy::Mps | Strategy::TimeSlicing => Ok(shares(rule, demand)),
    }
}

fn shares<'r>(rule: &'r SharingRule, demand: &PodDemand) -> Vec<Candidate<'r>> {
    let mut candidates = Vec::new();
    // Time slices of a MIG device are asked for by name or not at all.
    if rule.strategy == Strategy::TimeSlicing
        && let Some(first) = sole_resource(&demand.containers)
        && let GpuResource::MigShared(_) = first
    {
        candidates.push(first);
    }
    candidates.extend([GpuResource::GpuShared, GpuResource::Gpu]);
    candidates
        .into_iter()
        .map(|resource| Candidate {
            rule,
            naming: ResourceNaming::Share(resource),
            targets: demand
                .containers
                .iter()
                .map(|container| target::share(container, resource))
                .collect(),
        })
        .collect()
}

/// The one resource that all containers ask for, if it is one.
fn sole_resource(containers: &[ContainerDemand]) -> Option<GpuResource> {
    let mut all = containers
        .iter()
        .flat_map(|container| container.counts.iter().map(|(resource, _)| resource));
    let first = all.next()?;
    all.all(|resource| resource == first).then_some(first)
}

/// `is_single` says whether some node serves the profile under strategy `single`.
fn mig<'r>(
    rule: &'r SharingRule,
    demand: &PodDemand,
    inventory: &Inventory,
    is_single: impl Fn(MigProfile) -> bool,
) -> Result<Vec<Candidate<'r>>, Denial> {
    let asked: Vec<Option<MigProfile>> = demand
        .containers
        .iter()
        .map(|container| target::asked_profile(container, rule))
        .collect::<Result<_, _>>()?;
    check_asked_memory(&asked, demand, rule, inventory)?;

    let choices = if asked.iter().all(Option::is_some) {
        asked[..1].iter().flatten().copied().collect()
    } else {
        free_choices(rule, demand.memory, inventory)?
    };
    let mut candidates = Vec::new();
    for choice in choices {
        let profiles: Vec<MigProfile> = asked.iter().map(|asked| asked.unwrap_or(choice)).collect();
        let with = |naming, resource: &dyn Fn(MigProfile) -> GpuResource| Candidate {
            rule,
            naming,
            targets: demand
                .containers
                .iter()
                .zip(&profiles)
                .map(|(container, profile)| Target {
                    container: container.clone(),
                    resource: resource(*profile),
                    count: target::mig_count(container, resource(*profile)),
                })
                .collect(),
        };
        candidates.push(with(ResourceNaming::MigNamed(choice), &GpuResource::Mig));
        // Under strategy `single` a node has one profile for all.
        if profiles.iter().all(|profile| *profile == choice) && is_single(choice) {
            candidates.push(with(ResourceNaming::MigSingle(choice), &|_| GpuResource::Gpu));
        }
    }
    Ok(candidates)
}

/// The profiles that a container without a wish may get: those that hold the declared memory, smallest first; without a declaration,
/// in the order of the policy.
fn free_choices(rule: &SharingRule, memory: Option<MiB>, inventory: &Inventory) -> Result<Vec<MigProfile>, Denial> {
    let Some(needed) = memory else {
        return Ok(rule.profiles.clone());
    };
    let mut request: Vec<MigProfile> = rule
        .profiles
        .iter()
        .copied()
        .filter(|profile| most_memory(*profile, rule, inventory) >= needed)
        .collect();
    request.sort_unstable();
    if request.is_empty() {
        let allowed = rule.profile_names();
        return Err(Denial::new(
            format!("metadata.annotations[{}]", crate::gpu::names::GPU_MEMORY_ANNOTATION),
            format!("no MIG profile that the policy allows has {needed} of memory; it allows {allowed}"),
            "declare less, or ask for a policy that allows more",
        ));
    }
    Ok(request)
}

fn check_asked_memory(
    asked: &[Option<MigProfile>],
    demand: &PodDemand,
    rule: &SharingRule,
    inventory: &Inventory,
) -> Result<(), Denial> {
    let Some(needed) = demand.memory else { return Ok(()) };
    for (profile, container) in asked.iter().zip(&demand.containers) {
        if let Some(profile) = profile
            && most_memory(*profile, rule, inventory) < needed
        {
            return Err(Denial::new(
                format!("{}.resources.limits", container.field()),
                format!(
                    "asks for MIG profile {profile}, which has {} of memory, while the pod declares {needed}",
                    most_memory(*profile, rule, inventory)
                ),
                "ask for a larger profile, or for nvidia.com/gpu and let the policy choose",
            ));
        }
    }
    Ok(())
}

/// The most memory that a device of a profile has on any node; where there is none, what its name assures.
fn most_memory(profile: MigProfile, rule: &SharingRule, inventory: &Inventory) -> MiB {
    let named = OfferClass {
        strategy: Strategy::Mig,
        resource: GpuResource::Mig(profile),
    };
    let single = OfferClass {
        strategy: Strategy::Mig,
        resource: GpuResource::Gpu,
    };
    inventory
        .variants(named)
        .chain(inventory.variants(single))
        .filter(|offer| offer.profile == Some(profile) && offer.serves(rule, None).is_ok())
        .filter_map(Offer::assured_memory)
        .max()
        .unwrap_or_else(|| profile.assured_memory())
}
