//! What a container gets under a strategy, given what it requests.

use super::model::{ContainerRewrite, Denial};
use crate::diagnostics::excerpt;
use crate::gpu::{ContainerDemand, GpuResource};
use crate::policy::SharingRule;
use apportion_mig::MODELS;
use apportion_mig::profile::MigProfile;

/// The count if the container already requests `resource`, the name that it gets. Other names then
/// do not add to it: a `LimitRange` puts them back on a rewritten pod (`LimitRanger` runs again
/// after us), and adding them up would give the pod more on each pass.
fn already_requested(container: &ContainerDemand, resource: GpuResource) -> Option<u64> {
    Some(container.counts.get(resource)).filter(|count| *count > 0)
}

/// Whole GPUs for a container: counts of GPUs and shares carry over, and MIG devices become the
/// fewest GPUs that provide them.
pub fn whole_gpus(container: &ContainerDemand) -> Result<ContainerRewrite, Denial> {
    if let Some(count) = already_requested(container, GpuResource::Gpu) {
        return Ok(ContainerRewrite {
            container: container.clone(),
            resource: GpuResource::Gpu,
            count,
        });
    }
    let mut mig_devices: Vec<(MigProfile, u64)> = Vec::new();
    let mut gpus = 0u64;
    for (resource, count) in container.counts.iter() {
        match resource {
            GpuResource::Gpu | GpuResource::GpuShared => gpus = gpus.saturating_add(count),
            GpuResource::Mig(profile) | GpuResource::MigShared(profile) => mig_devices.push((profile, count)),
        }
    }
    if !mig_devices.is_empty() {
        // A profile can be a smaller part of one product than of another. The container does not
        // tell which product it means, so it gets the fewest GPUs of any.
        let needed = MODELS
            .iter()
            .filter_map(|model| model.min_gpus(&mig_devices))
            .min()
            .ok_or_else(|| {
                let requested = mig_devices
                    .iter()
                    .map(|(profile, _)| profile.to_string())
                    .collect::<Vec<_>>()
                    .join(" and ");
                Denial::new(
                    format!("{}.resources", container.field()),
                    format!("no known product has {}", excerpt(&requested)),
                    "ask for whole GPUs as nvidia.com/gpu",
                )
            })?;
        gpus = gpus.saturating_add(needed);
    }
    Ok(ContainerRewrite {
        container: container.clone(),
        resource: GpuResource::Gpu,
        count: gpus,
    })
}

/// One share for a container: more shares give no more compute, and if the device plugin rejects
/// requests for more than one, the kubelet fails the pod every time it is recreated.
pub fn one_share(container: &ContainerDemand, resource: GpuResource) -> ContainerRewrite {
    ContainerRewrite {
        container: container.clone(),
        resource,
        count: 1,
    }
}

/// How many MIG devices of this name a container gets: one for each MIG device and each GPU that it
/// requests, or one for any number of shares.
pub fn mig_device_count(container: &ContainerDemand, resource: GpuResource) -> u64 {
    if let Some(count) = already_requested(container, resource) {
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

/// The profile for a container that requests MIG devices; `None` if it leaves the choice to the
/// policy.
///
/// A profile that the policy does not allow becomes the smallest allowed one that is at least as
/// large.
pub fn requested_profile(container: &ContainerDemand, rule: &SharingRule) -> Result<Option<MigProfile>, Denial> {
    let field = || format!("{}.resources.limits", container.field());
    let mut profiles: Vec<MigProfile> = container
        .counts
        .iter()
        .filter_map(|(resource, _)| resource.profile())
        .collect();
    profiles.sort_unstable();
    profiles.dedup();
    let requested = match profiles[..] {
        [] => return Ok(None),
        [requested] => requested,
        _ => {
            let list = profiles
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" and ");
            return Err(Denial::new(
                field(),
                format!(
                    "asks for the MIG profiles {} in one container, which sees only one of them",
                    excerpt(&list)
                ),
                "ask for one profile, or split the container",
            ));
        }
    };
    if rule.allows_profile(requested) {
        return Ok(Some(requested));
    }
    let is_large_enough = |profile: &MigProfile| {
        profile.nominal_gb() >= requested.nominal_gb() && profile.compute() >= requested.compute()
    };
    if let Some(profile) = rule.profiles.iter().copied().filter(is_large_enough).min() {
        return Ok(Some(profile));
    }
    let allowed = rule.profile_names();
    Err(Denial::new(
        field(),
        format!("asks for MIG profile {requested}, more than the policy allows"),
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
    fn whole_gpus_provide_what_was_requested() {
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
            let rewrite = whole_gpus(&container(&counts)).unwrap();
            assert_eq!(
                (rewrite.resource, rewrite.count),
                (GpuResource::Gpu, gpus),
                "{counts:?}"
            );
        }
        let error = whole_gpus(&container(&[("nvidia.com/mig-9g.99gb", 1)])).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("no known product has 9g.99gb; ask for whole GPUs"),
            "{error}"
        );
    }

    #[test]
    fn each_gpu_becomes_one_mig_device() {
        for (counts, devices) in [
            (vec![("nvidia.com/gpu", 2)], 2),
            (vec![("nvidia.com/mig-1g.10gb", 3)], 3),
            (vec![("nvidia.com/mig-2g.20gb", 3)], 3),
            (vec![("nvidia.com/mig-2g.20gb", 1), ("nvidia.com/gpu", 1)], 2),
            // A LimitRange put back nvidia.com/gpu after the rewrite.
            (vec![("nvidia.com/mig-1g.10gb", 2), ("nvidia.com/gpu", 1)], 2),
            (vec![("nvidia.com/gpu.shared", 4)], 1),
        ] {
            let resource = GpuResource::Mig("1g.10gb".parse().unwrap());
            assert_eq!(mig_device_count(&container(&counts), resource), devices, "{counts:?}");
        }
    }

    #[test]
    fn an_allowed_profile_stays_and_a_smaller_one_grows() {
        let rule = SharingRule {
            profiles: ["1g.10gb", "2g.20gb"].iter().map(|p| p.parse().unwrap()).collect(),
            ..SharingRule::any(Strategy::Mig)
        };
        let profile =
            |counts: &[(&str, u64)]| requested_profile(&container(counts), &rule).map(|p| p.map(|p| p.to_string()));
        assert_eq!(profile(&[("nvidia.com/gpu", 1)]), Ok(None));
        assert_eq!(profile(&[("nvidia.com/mig-2g.20gb", 1)]), Ok(Some("2g.20gb".into())));
        assert_eq!(profile(&[("nvidia.com/mig-1g.5gb", 1)]), Ok(Some("1g.10gb".into())));
        assert_eq!(profile(&[("nvidia.com/mig-1g.20gb", 1)]), Ok(Some("2g.20gb".into())));
        assert!(
            profile(&[("nvidia.com/mig-3g.40gb", 1)])
                .unwrap_err()
                .to_string()
                .contains("ask for one of 1g.10gb, 2g.20gb")
        );
        assert!(profile(&[("nvidia.com/mig-1g.10gb", 1), ("nvidia.com/mig-2g.20gb", 1)]).is_err());
    }
}
