//! Warnings about quotas and limit ranges that do not account for shared GPUs.
//!
//! A quota counts the rewritten pod, so a quota on `nvidia.com/gpu` alone counts nothing of what
//! tenants get. A default of a limit range gives GPUs to pods that request none: `LimitRanger` runs
//! before the webhook and again after the webhook has changed a pod.

use crate::decision::Grant;
use crate::gpu::GpuResource;
use crate::inventory::{Inventory, QuotaKind};

/// The warnings for a pod in a namespace that gets this grant.
pub(super) fn quota_warnings(inventory: &Inventory, namespace: &str, grant: &Grant) -> Vec<String> {
    let mut granted: Vec<GpuResource> = grant.rewrites.iter().map(|target| target.resource).collect();
    granted.sort_unstable();
    granted.dedup();
    // A resource that the pod itself requests evades no quota because of us.
    let requested = |resource: GpuResource| {
        let mut targets = grant.rewrites.iter();
        targets.any(|target| target.container.counts.get(resource) > 0)
    };
    let is_counted = |resource: GpuResource| {
        inventory
            .quotas(namespace)
            .any(|quota| matches!(&quota.kind, QuotaKind::ResourceQuota(counted) if counted.contains(&resource)))
    };
    let mut warnings = Vec::new();
    for quota in inventory.quotas(namespace) {
        let name = &quota.name;
        match &quota.kind {
            QuotaKind::ResourceQuota(counted) => {
                let Some(before) = counted
                    .iter()
                    .find(|resource| requested(**resource))
                    .or(counted.first())
                else {
                    continue;
                };
                for after in granted
                    .iter()
                    .filter(|after| !requested(**after) && !is_counted(**after))
                {
                    warnings.push(format!(
                        "quota {name} counts {before}, not {after}: add requests.{after}"
                    ));
                }
            }
            QuotaKind::LimitRange {
                defaulted: given,
                bounded,
            } => {
                for resource in given {
                    warnings.push(format!(
                        "limit range {name} gives {resource} to containers that ask for none: remove it there"
                    ));
                }
                for before in bounded.iter().filter(|bounded| !granted.contains(bounded)) {
                    warnings.push(format!(
                        "limit range {name} refuses containers without {before}: remove its max and min"
                    ));
                }
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::ContainerRewrite;
    use crate::gpu::{ContainerDemand, Counts, Strategy};
    use crate::inventory::{Availability, Ledger, NamespaceQuota};
    use crate::k8s::ContainerKind;

    fn grant(before: &str, after: &str) -> Grant {
        let counts = |name: &str| Counts::one(name.parse().unwrap(), 1);
        Grant {
            strategy: Strategy::Mig,
            rewrites: vec![ContainerRewrite {
                container: ContainerDemand {
                    kind: ContainerKind::Main,
                    index: 0,
                    name: "c".to_owned(),
                    counts: counts(before),
                },
                resource: after.parse().unwrap(),
                count: 1,
            }],
            requirements: Vec::new(),
            demand: counts(after),
            availability: Availability::Free,
            reason: String::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn each_warning_names_the_object_and_the_fix() {
        const GPU: &str = "nvidia.com/gpu";
        const MIG: &str = "nvidia.com/mig-1g.10gb";
        let quota = |hard: &str| {
            (
                "resourcequotas",
                format!(r#"{{"metadata":{{"name":"q"}},"spec":{{"hard":{{{hard}}}}}}}"#),
            )
        };
        let range = |item: &str| {
            (
                "limitranges",
                format!(r#"{{"metadata":{{"name":"l"}},"spec":{{"limits":[{{"type":"Container",{item}}}]}}}}"#),
            )
        };
        let not_counted =
            "quota q counts nvidia.com/gpu, not nvidia.com/mig-1g.10gb: add requests.nvidia.com/mig-1g.10gb";
        let gives = "limit range l gives nvidia.com/gpu to containers that ask for none: remove it there";
        let refuses = "limit range l refuses containers without nvidia.com/gpu: remove its max and min";
        for (case, objects, before, after, expected) in [
            (
                "the granted resource is not counted",
                vec![quota(r#""requests.nvidia.com/gpu":"4""#)],
                GPU,
                MIG,
                vec![not_counted],
            ),
            (
                "both resources are counted",
                vec![quota(
                    r#""requests.nvidia.com/gpu":4,"requests.nvidia.com/mig-1g.10gb":7"#,
                )],
                GPU,
                MIG,
                vec![],
            ),
            (
                "the resource is not rewritten",
                vec![quota(r#""requests.nvidia.com/gpu":"4""#)],
                GPU,
                GPU,
                vec![],
            ),
            (
                "requested by the pod itself",
                vec![quota(r#""requests.nvidia.com/gpu":"4""#)],
                MIG,
                MIG,
                vec![],
            ),
            (
                "a quota without GPUs",
                vec![quota(r#""requests.cpu":"4","pods":"9""#)],
                GPU,
                MIG,
                vec![],
            ),
            (
                "hard is null",
                vec![("resourcequotas", r#"{"spec":{"hard":null}}"#.to_owned())],
                GPU,
                MIG,
                vec![],
            ),
            (
                "a default",
                vec![range(r#""default":{"nvidia.com/gpu":1,"cpu":"1"}"#)],
                GPU,
                MIG,
                vec![gives],
            ),
            (
                "a default request",
                vec![range(r#""defaultRequest":{"nvidia.com/gpu":"1"}"#)],
                GPU,
                GPU,
                vec![gives],
            ),
            (
                "a maximum",
                vec![range(r#""max":{"nvidia.com/gpu":"2"}"#)],
                GPU,
                MIG,
                vec![refuses],
            ),
            (
                "a maximum on a resource that is not rewritten",
                vec![range(r#""max":{"nvidia.com/gpu":"2"}"#)],
                GPU,
                GPU,
                vec![],
            ),
            (
                "a default for CPU",
                vec![range(r#""default":{"cpu":"1"}"#)],
                GPU,
                MIG,
                vec![],
            ),
            (
                "a default and a quota",
                vec![
                    range(r#""default":{"nvidia.com/gpu":1}"#),
                    quota(r#""requests.nvidia.com/gpu":"4""#),
                ],
                GPU,
                MIG,
                vec![gives, not_counted],
            ),
        ] {
            let mut ledger = Ledger::default();
            for (plural, json) in &objects {
                let quota = match *plural {
                    "limitranges" => NamespaceQuota::of_limit_range(&serde_json::from_str(json).unwrap()),
                    _ => NamespaceQuota::of_quota(&serde_json::from_str(json).unwrap()),
                };
                // Namespaces with similar names must not be affected.
                for namespace in ["n", "n-1", "m"] {
                    ledger.put_quota(plural, &format!("{namespace}/x"), quota.clone());
                }
            }
            for namespace in ["n-1", "m"] {
                ledger.put_quota("limitranges", &format!("{namespace}/x"), None);
            }
            let found = quota_warnings(ledger.inventory(), "n", &grant(before, after));
            assert_eq!(found, expected, "{case}");
            assert!(
                found.iter().all(|text| text.len() <= 120 - "apportion (dev): ".len()),
                "{case}"
            );
            assert!(quota_warnings(ledger.inventory(), "other", &grant(before, after)).is_empty());
        }
    }
}
