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
    use serde_json::{Value, json};

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

    const GPU: &str = "nvidia.com/gpu";
    const MIG: &str = "nvidia.com/mig-1g.10gb";

    /// The plural of a kind, and an object of it.
    type Object = (&'static str, Value);

    fn quota(hard: &Value) -> Object {
        let hard = json!({"hard": hard});
        ("resourcequotas", json!({"metadata": {"name": "q"}, "spec": hard}))
    }

    fn range(field: &str, quantities: &Value) -> Object {
        let limits = json!([{"type": "Container", field: quantities}]);
        (
            "limitranges",
            json!({"metadata": {"name": "l"}, "spec": {"limits": limits}}),
        )
    }

    struct Row {
        case: &'static str,
        objects: Vec<Object>,
        /// The resource that the pod requests.
        before: &'static str,
        /// The resource that it gets.
        after: &'static str,
        expected: Vec<&'static str>,
    }

    impl Default for Row {
        fn default() -> Self {
            Row {
                case: "",
                objects: Vec::new(),
                before: GPU,
                after: MIG,
                expected: Vec::new(),
            }
        }
    }

    #[test]
    fn each_warning_names_the_object_and_the_fix() {
        let not_counted =
            "quota q counts nvidia.com/gpu, not nvidia.com/mig-1g.10gb: add requests.nvidia.com/mig-1g.10gb";
        let gives = "limit range l gives nvidia.com/gpu to containers that ask for none: remove it there";
        let refuses = "limit range l refuses containers without nvidia.com/gpu: remove its max and min";
        for row in [
            Row {
                case: "the granted resource is not counted",
                objects: vec![quota(&json!({"requests.nvidia.com/gpu": "4"}))],
                expected: vec![not_counted],
                ..Row::default()
            },
            Row {
                case: "both resources are counted",
                objects: vec![quota(
                    &json!({"requests.nvidia.com/gpu": 4, "requests.nvidia.com/mig-1g.10gb": 7}),
                )],
                ..Row::default()
            },
            Row {
                case: "the resource is not rewritten",
                objects: vec![quota(&json!({"requests.nvidia.com/gpu": "4"}))],
                after: GPU,
                ..Row::default()
            },
            Row {
                case: "requested by the pod itself",
                objects: vec![quota(&json!({"requests.nvidia.com/gpu": "4"}))],
                before: MIG,
                ..Row::default()
            },
            Row {
                case: "a quota without GPUs",
                objects: vec![quota(&json!({"requests.cpu": "4", "pods": "9"}))],
                ..Row::default()
            },
            Row {
                case: "hard is null",
                objects: vec![quota(&Value::Null)],
                ..Row::default()
            },
            Row {
                case: "a default",
                objects: vec![range("default", &json!({"nvidia.com/gpu": 1, "cpu": "1"}))],
                expected: vec![gives],
                ..Row::default()
            },
            Row {
                case: "a default request",
                objects: vec![range("defaultRequest", &json!({"nvidia.com/gpu": "1"}))],
                after: GPU,
                expected: vec![gives],
                ..Row::default()
            },
            Row {
                case: "a maximum",
                objects: vec![range("max", &json!({"nvidia.com/gpu": "2"}))],
                expected: vec![refuses],
                ..Row::default()
            },
            Row {
                case: "a maximum on a resource that is not rewritten",
                objects: vec![range("max", &json!({"nvidia.com/gpu": "2"}))],
                after: GPU,
                ..Row::default()
            },
            Row {
                case: "a default for CPU",
                objects: vec![range("default", &json!({"cpu": "1"}))],
                ..Row::default()
            },
            Row {
                case: "a default and a quota",
                objects: vec![
                    range("default", &json!({"nvidia.com/gpu": 1})),
                    quota(&json!({"requests.nvidia.com/gpu": "4"})),
                ],
                expected: vec![gives, not_counted],
                ..Row::default()
            },
        ] {
            let mut ledger = Ledger::default();
            for (plural, object) in &row.objects {
                let json = object.to_string();
                let quota = match *plural {
                    "limitranges" => NamespaceQuota::of_limit_range(&serde_json::from_str(&json).unwrap()),
                    _ => NamespaceQuota::of_quota(&serde_json::from_str(&json).unwrap()),
                };
                // Namespaces with similar names must not be affected.
                for namespace in ["n", "n-1", "m"] {
                    ledger.put_quota(plural, &format!("{namespace}/x"), quota.clone());
                }
            }
            for namespace in ["n-1", "m"] {
                ledger.put_quota("limitranges", &format!("{namespace}/x"), None);
            }
            let grant = grant(row.before, row.after);
            let found = quota_warnings(ledger.inventory(), "n", &grant);
            assert_eq!(found, row.expected, "{}", row.case);
            assert!(
                found.iter().all(|text| text.len() <= 120 - "apportion (dev): ".len()),
                "{}",
                row.case
            );
            assert!(quota_warnings(ledger.inventory(), "other", &grant).is_empty());
        }
    }
}
