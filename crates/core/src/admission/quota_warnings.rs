//! What else in a namespace has a say about GPUs and does not know that they are shared: quotas and limit ranges.
//!
//! A quota counts a pod as it was rewritten, so one that names `nvidia.com/gpu` alone counts nothing of what tenants get. A limit
//! range's default gives GPUs to pods that want none (`LimitRanger` runs before us and, when we changed the pod, again).

use crate::decision::Grant;
use crate::gpu::GpuResource;
use crate::inventory::{Inventory, QuotaKind};

/// What to know of the quotas and limit ranges of a namespace, for a pod that gets this.
pub(super) fn traps(inventory: &Inventory, namespace: &str, grant: &Grant) -> Vec<String> {
    let mut got: Vec<GpuResource> = grant.targets.iter().map(|target| target.resource).collect();
    got.sort_unstable();
    got.dedup();
    // What a pod asks for by its own name slips past nothing that it would not have slipped past without us.
    let asked = |resource: GpuResource| grant.targets.iter().any(|t| t.container.counts.get(resource) > 0);
    let counted_somewhere = |resource: GpuResource| {
        inventory
            .quotas(namespace)
            .any(|quota| matches!(&quota.says, QuotaKind::Counts(counted) if counted.contains(&resource)))
    };
    let mut traps = Vec::new();
    for quota in inventory.quotas(namespace) {
        let name = &quota.name;
        match &quota.says {
            QuotaKind::Counts(counted) => {
                let Some(before) = counted.iter().find(|resource| asked(**resource)).or(counted.first()) else {
                    continue;
                };
                for after in got
                    .iter()
                    .filter(|after| !asked(**after) && !counted_somewhere(**after))
                {
                    traps.push(format!(
                        "quota {name} counts {before}, not {after}: add requests.{after}"
                    ));
                }
            }
            QuotaKind::Limits { given, bounded } => {
                for resource in given {
                    traps.push(format!(
                        "limit range {name} gives {resource} to containers that ask for none: remove it there"
                    ));
                }
                for before in bounded.iter().filter(|bounded| !got.contains(bounded)) {
                    traps.push(format!(
                        "limit range {name} refuses containers without {before}: remove its max and min"
                    ));
                }
            }
        }
    }
    traps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Target;
    use crate::gpu::{ContainerDemand, Counts, Strategy};
    use crate::inventory::{Availability, Ledger, NamespaceQuota};
    use crate::k8s::ContainerKind;

    fn grant(before: &str, after: &str) -> Grant {
        let counts = |name: &str| Counts::one(name.parse().unwrap(), 1);
        Grant {
            strategy: Strategy::Mig,
            targets: vec![Target {
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
            because: String::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn what_slips_past_is_named_with_its_remedy() {
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
        let slips = "quota q counts nvidia.com/gpu, not nvidia.com/mig-1g.10gb: add requests.nvidia.com/mig-1g.10gb";
        let gives = "limit range l gives nvidia.com/gpu to containers that ask for none: remove it there";
        let refuses = "limit range l refuses containers without nvidia.com/gpu: remove its max and min";
        for (case, objects, before, after, told) in [
            (
                "slips past",
                vec![quota(r#""requests.nvidia.com/gpu":"4""#)],
                GPU,
                MIG,
                vec![slips],
            ),
            (
                "counted too",
                vec![quota(
                    r#""requests.nvidia.com/gpu":4,"requests.nvidia.com/mig-1g.10gb":7"#,
                )],
                GPU,
                MIG,
                vec![],
            ),
            (
                "stays",
                vec![quota(r#""requests.nvidia.com/gpu":"4""#)],
                GPU,
                GPU,
                vec![],
            ),
            (
                "asked for by its author",
                vec![quota(r#""requests.nvidia.com/gpu":"4""#)],
                MIG,
                MIG,
                vec![],
            ),
            (
                "no GPU's",
                vec![quota(r#""requests.cpu":"4","pods":"9""#)],
                GPU,
                MIG,
                vec![],
            ),
            (
                "null",
                vec![("resourcequotas", r#"{"spec":{"hard":null}}"#.to_owned())],
                GPU,
                MIG,
                vec![],
            ),
            (
                "gives",
                vec![range(r#""default":{"nvidia.com/gpu":1,"cpu":"1"}"#)],
                GPU,
                MIG,
                vec![gives],
            ),
            (
                "gives requests",
                vec![range(r#""defaultRequest":{"nvidia.com/gpu":"1"}"#)],
                GPU,
                GPU,
                vec![gives],
            ),
            (
                "bounds",
                vec![range(r#""max":{"nvidia.com/gpu":"2"}"#)],
                GPU,
                MIG,
                vec![refuses],
            ),
            (
                "bounds what stays",
                vec![range(r#""max":{"nvidia.com/gpu":"2"}"#)],
                GPU,
                GPU,
                vec![],
            ),
            ("cpu", vec![range(r#""default":{"cpu":"1"}"#)], GPU, MIG, vec![]),
            (
                "both",
                vec![
                    range(r#""default":{"nvidia.com/gpu":1}"#),
                    quota(r#""requests.nvidia.com/gpu":"4""#),
                ],
                GPU,
                MIG,
                vec![gives, slips],
            ),
        ] {
            let mut ledger = Ledger::default();
            for (plural, json) in &objects {
                let quota = match *plural {
                    "limitranges" => NamespaceQuota::of_limit_range(&serde_json::from_str(json).unwrap()),
                    _ => NamespaceQuota::of_quota(&serde_json::from_str(json).unwrap()),
                };
                // Neighbours by name are not meant.
                for namespace in ["n", "n-1", "m"] {
                    ledger.put_quota(plural, &format!("{namespace}/x"), quota.clone());
                }
            }
            for namespace in ["n-1", "m"] {
                ledger.put_quota("limitranges", &format!("{namespace}/x"), None);
            }
            let found = traps(ledger.inventory(), "n", &grant(before, after));
            assert_eq!(found, told, "{case}");
            assert!(
                found.iter().all(|text| text.len() <= 120 - "apportion (dev): ".len()),
                "{case}"
            );
            assert!(traps(ledger.inventory(), "other", &grant(before, after)).is_empty());
        }
    }
}
