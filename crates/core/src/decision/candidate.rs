//! The ways to serve a pod under a rule of its policy.

use super::container_rewrite;
use super::model::{ContainerRewrite, Denial, ResourceNaming};
use crate::gpu::names::GPU_MEMORY_ANNOTATION;
use crate::gpu::{ContainerDemand, GpuResource, PodDemand, Strategy};
use crate::inventory::{Inventory, Offer, OfferClass};
use crate::policy::SharingRule;
use apportion_mig::memory::MiB;
use apportion_mig::profile::MigProfile;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'r> {
    pub rule: &'r SharingRule,
    pub naming: ResourceNaming,
    pub rewrites: Vec<ContainerRewrite>,
}

impl Candidate<'_> {
    /// The resources that the rewritten containers request, without duplicates.
    pub fn resources(&self) -> Vec<GpuResource> {
        let mut resources: Vec<GpuResource> = self.rewrites.iter().map(|rewrite| rewrite.resource).collect();
        resources.sort_unstable();
        resources.dedup();
        resources
    }
}

/// All ways to serve a pod under a rule, in order of preference, or why there is none.
///
/// An unambiguous resource name precedes one that needs a node selector: MIG `mixed` before
/// `single`, and `.shared` before the plain name.
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

/// All ways to serve a pod under a rule, whatever nodes exist.
pub fn all_possible_candidates<'r>(rule: &'r SharingRule, demand: &PodDemand) -> Result<Vec<Candidate<'r>>, Denial> {
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
            let rewrites = demand
                .containers
                .iter()
                .map(container_rewrite::whole_gpus)
                .collect::<Result<_, _>>()?;
            Ok(vec![Candidate {
                rule,
                naming: ResourceNaming::Whole,
                rewrites,
            }])
        }
        Strategy::Mig => mig_candidates(rule, demand, inventory, is_single),
        Strategy::Mps | Strategy::TimeSlicing => Ok(share_candidates(rule, demand)),
    }
}

fn share_candidates<'r>(rule: &'r SharingRule, demand: &PodDemand) -> Vec<Candidate<'r>> {
    let mut names = Vec::new();
    // A pod gets time slices of a MIG device only if it requests them by name.
    if rule.strategy == Strategy::TimeSlicing
        && let Some(requested) = only_resource(&demand.containers)
        && let GpuResource::MigShared(_) = requested
    {
        names.push(requested);
    }
    names.extend([GpuResource::GpuShared, GpuResource::Gpu]);
    names
        .into_iter()
        .map(|resource| Candidate {
            rule,
            naming: ResourceNaming::Share(resource),
            rewrites: demand
                .containers
                .iter()
                .map(|container| container_rewrite::one_share(container, resource))
                .collect(),
        })
        .collect()
}

/// The resource that all containers request, if it is the same.
fn only_resource(containers: &[ContainerDemand]) -> Option<GpuResource> {
    let mut all = containers
        .iter()
        .flat_map(|container| container.counts.iter().map(|(resource, _)| resource));
    let first = all.next()?;
    all.all(|resource| resource == first).then_some(first)
}

/// `is_single` tells whether some node serves the profile under strategy `single`.
fn mig_candidates<'r>(
    rule: &'r SharingRule,
    demand: &PodDemand,
    inventory: &Inventory,
    is_single: impl Fn(MigProfile) -> bool,
) -> Result<Vec<Candidate<'r>>, Denial> {
    let requested: Vec<Option<MigProfile>> = demand
        .containers
        .iter()
        .map(|container| container_rewrite::requested_profile(container, rule))
        .collect::<Result<_, _>>()?;
    check_requested_memory(&requested, demand, rule, inventory)?;

    let choices = if requested.iter().all(Option::is_some) {
        requested[..1].iter().flatten().copied().collect()
    } else {
        allowed_profiles(rule, demand.memory, inventory)?
    };
    let mut candidates = Vec::new();
    for choice in choices {
        let profiles: Vec<MigProfile> = requested.iter().map(|profile| profile.unwrap_or(choice)).collect();
        let with = |naming, resource: &dyn Fn(MigProfile) -> GpuResource| Candidate {
            rule,
            naming,
            rewrites: demand
                .containers
                .iter()
                .zip(&profiles)
                .map(|(container, profile)| ContainerRewrite {
                    container: container.clone(),
                    resource: resource(*profile),
                    count: container_rewrite::mig_device_count(container, resource(*profile)),
                })
                .collect(),
        };
        candidates.push(with(ResourceNaming::MigNamed(choice), &GpuResource::Mig));
        // Under strategy `single`, all devices of a node have the same profile.
        if profiles.iter().all(|profile| *profile == choice) && is_single(choice) {
            candidates.push(with(ResourceNaming::MigSingle(choice), &|_| GpuResource::Gpu));
        }
    }
    Ok(candidates)
}

/// The profiles for a container that does not request one: those with at least the declared memory,
/// smallest first, or all in the order of the policy if the pod declares no memory.
fn allowed_profiles(rule: &SharingRule, memory: Option<MiB>, inventory: &Inventory) -> Result<Vec<MigProfile>, Denial> {
    let Some(needed) = memory else {
        return Ok(rule.profiles.clone());
    };
    let mut large_enough: Vec<MigProfile> = rule
        .profiles
        .iter()
        .copied()
        .filter(|profile| max_memory(*profile, rule, inventory) >= needed)
        .collect();
    large_enough.sort_unstable();
    if large_enough.is_empty() {
        let allowed = rule.profile_names();
        return Err(Denial::new(
            format!("metadata.annotations[{GPU_MEMORY_ANNOTATION}]"),
            format!("no MIG profile that the policy allows has {needed} of memory; it allows {allowed}"),
            "declare less memory, or ask for a policy that allows larger profiles",
        ));
    }
    Ok(large_enough)
}

fn check_requested_memory(
    requested: &[Option<MigProfile>],
    demand: &PodDemand,
    rule: &SharingRule,
    inventory: &Inventory,
) -> Result<(), Denial> {
    let Some(needed) = demand.memory else { return Ok(()) };
    for (profile, container) in requested.iter().zip(&demand.containers) {
        if let Some(profile) = profile
            && max_memory(*profile, rule, inventory) < needed
        {
            return Err(Denial::new(
                format!("{}.resources.limits", container.field()),
                format!(
                    "asks for MIG profile {profile}, which has {} of memory, while the pod declares {needed}",
                    max_memory(*profile, rule, inventory)
                ),
                "ask for a larger profile, or ask for nvidia.com/gpu and let the policy choose",
            ));
        }
    }
    Ok(())
}

/// The largest memory of a device with this profile on any node. If there is none, the memory that
/// the profile guarantees.
fn max_memory(profile: MigProfile, rule: &SharingRule, inventory: &Inventory) -> MiB {
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
