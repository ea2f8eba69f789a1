//! From what a container asks for to what it gets under a strategy.

use super::outcome::{Denial, Target};
use crate::gpu::{ContainerDemand, GpuResource};
use crate::policy::SharingRule;
use apportion_mig::geometry;
use apportion_mig::profile::MigProfile;

/// How many a container asks for under the very name that it is to get. Then other names beside it add nothing: they are what a
/// `LimitRange` puts back on a pod that was rewritten (`LimitRanger` runs again after us), and to add them up would give the pod more
/// at each pass.
fn settled(container: &ContainerDemand, resource: GpuResource) -> Option<u64> {
    Some(container.counts.get(resource)).filter(|count| *count > 0)
}

/// Whole GPUs for a container: counts of GPUs and shares carry over, MIG devices become the GPUs that would hold them.
pub fn whole(container: &ContainerDemand) -> Result<Target, Denial> {
    if let Some(count) = settled(container, GpuResource::Gpu) {
        return Ok(Target {
            container: container.clone(),
            resource: GpuResource::Gpu,
            count,
        });
    }
    let mut slices: Vec<(MigProfile, u64)> = Vec::new();
    let mut gpus = 0u64;
    for (resource, count) in container.counts.iter() {
        match resource {
            GpuResource::Gpu | GpuResource::GpuShared => gpus = gpus.saturating_add(count),
            GpuResource::Mig(profile) | GpuResource::MigShared(profile) => slices.push((profile, count)),
        }
    }
    if !slices.is_empty() {
        // The same profile may be a smaller part of another product; the container does not say which it meant, so the
        // fewest GPUs that can be meant are given.
        let request = geometry::MODELS
            .iter()
            .filter_map(|model| model.gpus_for(&slices))
            .min()
            .ok_or_else(|| {
                let asked = slices
                    .iter()
                    .map(|(profile, _)| profile.to_string())
                    .collect::<Vec<_>>()
                    .join(" and ");
                Denial::new(
                    format!("{}.resources", container.field()),
                    format!("no known product has {asked}"),
                    "ask for whole GPUs as nvidia.com/gpu",
                )
            })?;
        gpus = gpus.saturating_add(request);
    }
    Ok(Target {
        container: container.clone(),
        resource: GpuResource::Gpu,
        count: gpus,
    })
}

/// One share for a container, under this name: more give no more compute, and where the plugin refuses more than one, the
/// kubelet fails the pod each time that it is made again.
pub fn share(container: &ContainerDemand, resource: GpuResource) -> Target {
    Target {
        container: container.clone(),
        resource,
        count: 1,
    }
}

/// How many MIG devices of this name a container gets: as many as it asked for, one for each GPU that it asked for, and one for
/// any number of shares.
pub fn mig_count(container: &ContainerDemand, resource: GpuResource) -> u64 {
    if let Some(count) = settled(container, resource) {
        return count;
    }
    let mut devices = 0u64;
    let mut shares = false;
    for (resource, count) in container.counts.iter() {
        match resource {
            GpuResource::Gpu | GpuResource::Mig(_) => devices = devices.saturating_add(count),
            GpuResource::GpuShared | GpuResource::MigShared(_) => shares = true,
        }
    }
    if devices == 0 && shares { 1 } else { devices }
}

/// The profile that a container settles by what it asks for; `None` when it leaves the choice.
pub fn asked_profile(container: &ContainerDemand, rule: &SharingRule) -> Result<Option<MigProfile>, Denial> {
    let field = || format!("{}.resources.limits", container.field());
    let mut profiles: Vec<MigProfile> = container
        .counts
        .iter()
        .filter_map(|(resource, _)| resource.profile())
        .collect();
    profiles.sort_unstable();
    profiles.dedup();
    let asked = match profiles[..] {
        [] => return Ok(None),
        [asked] => asked,
        _ => {
            let list = profiles
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" and ");
            return Err(Denial::new(
                field(),
                format!("asks for the MIG profiles {list} in one container, which sees only one of them"),
                "ask for one profile, or split the container",
            ));
        }
    };
    if rule.allows_profile(asked) {
        return Ok(Some(asked));
    }
    let holds =
        |profile: &MigProfile| profile.nominal_gb() >= asked.nominal_gb() && profile.compute() >= asked.compute();
    if let Some(profile) = rule.profiles.iter().copied().filter(holds).min() {
        return Ok(Some(profile));
    }
    let allowed = rule.profile_names();
    Err(Denial::new(
        field(),
        format!("asks for MIG profile {asked}, more than the policy allows"),
        format!("ask for one of {allowed}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Counts, Strategy};
    use crate::k8s::ContainerKind;

    fn container(counts: &[(&str, u64)]) -> ContainerDemand {
        let counts: Counts = counts
            .iter()
            .map(|(name, count)| (name.parse().unwrap(), *count))
            .collect();
        ContainerDemand {
            kind: ContainerKind::Main,
            index: 0,
            name: "c".into(),
            counts,
        }
    }

    #[test]
    fn whole_gpus_hold_what_was_asked() {
        for (counts, gpus) in [
            (vec![("nvidia.com/gpu", 8)], 8),
            (vec![("nvidia.com/gpu.shared", 4)], 4),
            (vec![("nvidia.com/gpu", 1), ("nvidia.com/gpu.shared", 2)], 1),
            (vec![("nvidia.com/mig-1g.10gb", 7)], 1),
            (vec![("nvidia.com/mig-1g.10gb", 8)], 2),
            (vec![("nvidia.com/mig-3g.40gb", 3)], 2),
            (vec![("nvidia.com/mig-3g.40gb", 2), ("nvidia.com/mig-1g.10gb", 1)], 2),
            (vec![("nvidia.com/gpu", 2), ("nvidia.com/mig-2g.20gb", 1)], 2),
            (vec![("nvidia.com/gpu.shared", 2), ("nvidia.com/mig-2g.20gb", 1)], 3),
        ] {
            let target = whole(&container(&counts)).unwrap();
            assert_eq!((target.resource, target.count), (GpuResource::Gpu, gpus), "{counts:?}");
        }
        let error = whole(&container(&[("nvidia.com/mig-9g.99gb", 1)])).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("no known product has 9g.99gb; ask for whole GPUs"),
            "{error}"
        );
    }

    #[test]
    fn one_mig_device_for_each_gpu() {
        for (counts, devices) in [
            (vec![("nvidia.com/gpu", 2)], 2),
            (vec![("nvidia.com/mig-1g.10gb", 3)], 3),
            (vec![("nvidia.com/mig-2g.20gb", 3)], 3),
            (vec![("nvidia.com/mig-2g.20gb", 1), ("nvidia.com/gpu", 1)], 2),
            // What a LimitRange put back beside what we wrote.
            (vec![("nvidia.com/mig-1g.10gb", 2), ("nvidia.com/gpu", 1)], 2),
            (vec![("nvidia.com/gpu.shared", 4)], 1),
        ] {
            let resource = GpuResource::Mig("1g.10gb".parse().unwrap());
            assert_eq!(mig_count(&container(&counts), resource), devices, "{counts:?}");
        }
    }

    #[test]
    fn an_allowed_profile_stays_and_a_smaller_one_grows() {
        let rule = SharingRule {
            profiles: ["1g.10gb", "2g.20gb"].iter().map(|p| p.parse().unwrap()).collect(),
            ..SharingRule::any(Strategy::Mig)
        };
        let asked = |counts: &[(&str, u64)]| asked_profile(&container(counts), &rule).map(|p| p.map(|p| p.to_string()));
        assert_eq!(asked(&[("nvidia.com/gpu", 1)]), Ok(None));
        assert_eq!(asked(&[("nvidia.com/mig-2g.20gb", 1)]), Ok(Some("2g.20gb".into())));
        assert_eq!(asked(&[("nvidia.com/mig-1g.5gb", 1)]), Ok(Some("1g.10gb".into())));
        assert_eq!(asked(&[("nvidia.com/mig-1g.20gb", 1)]), Ok(Some("2g.20gb".into())));
        assert!(
            asked(&[("nvidia.com/mig-3g.40gb", 1)])
                .unwrap_err()
                .to_string()
                .contains("ask for one of 1g.10gb, 2g.20gb")
        );
        assert!(asked(&[("nvidia.com/mig-1g.10gb", 1), ("nvidia.com/mig-2g.20gb", 1)]).is_err());
    }
}
