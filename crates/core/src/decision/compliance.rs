//! Whether a running pod complies with its policy.
//!
//! This asks the question of [`decide`](super::decide()) afterwards, and of the pod alone: is the
//! pod what some candidate of some rule would make of it? The nodes that exist do not matter, so
//! the answer changes only with the pod and the policy.

use super::candidate::{Candidate, all_possible_candidates};
use super::isolation;
use super::model::{ContainerRewrite, Denial, ResourceNaming};
use super::node_requirements;
use super::violation::{RECREATE_POD, Violation};
use crate::gpu::names::{SUFFIX_SHARING_STRATEGY, gpu_label};
use crate::gpu::{GpuBypass, GpuResource, PodDemand, Strategy};
use crate::inventory::PodSummary;
use crate::k8s::NormalizedAffinity;
use crate::policy::{Mode, Policy};

/// How far a pod is from what a candidate would make of it. The nearest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    /// The pod may also run on nodes that do not serve the candidate.
    MissingRequirement,
    /// The pod requests more than one share.
    TooManyShares,
    /// A container requests something else.
    OtherRequest,
    /// The pod's node selection excludes all nodes that serve the candidate.
    RuledOut,
}

/// The first violation of a pod, given the policy that governs it.
///
/// A policy that only warns or audits allows everything, and the kubelet runs a static pod whatever
/// the API server says about its mirror pod.
pub fn find_violation(summary: &PodSummary, policy: &Policy) -> Option<Violation> {
    if policy.mode != Mode::Enforce || summary.is_mirror {
        return None;
    }
    sharing_violation(summary, policy).or_else(|| isolation_violation(summary, policy))
}

fn isolation_violation(summary: &PodSummary, policy: &Policy) -> Option<Violation> {
    let is_denied = |bypass: &&GpuBypass| policy.isolation.blocks(bypass.kind);
    let denial = summary.gpu_bypasses.iter().find(is_denied).map(isolation::denial)?;
    Some(Violation::not_isolated(denial))
}

fn sharing_violation(summary: &PodSummary, policy: &Policy) -> Option<Violation> {
    let demand = match &summary.demand {
        Ok(demand) => demand,
        Err(error) => {
            return Some(Violation::refused(Denial::new(
                &error.field,
                &error.reason,
                RECREATE_POD,
            )));
        }
    };
    if demand.is_empty() {
        return None;
    }
    let affinity = &summary.scheduling.constraints.normalize();
    let mut nearest: Option<(Distance, Candidate<'_>)> = None;
    let mut denial = None;
    for rule in policy.sharing_rules() {
        match all_possible_candidates(rule, demand) {
            Err(reason) => denial = denial.or(Some(reason)),
            Ok(candidates) => {
                for candidate in candidates {
                    let distance = distance(&candidate, affinity)?;
                    if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                        nearest = Some((distance, candidate));
                    }
                }
            }
        }
    }
    // Too many shares under an allowed name need no other explanation.
    if let Some((Distance::TooManyShares, candidate)) = &nearest {
        return Some(Violation::too_many_shares(candidate));
    }
    let forbidden = || forbidden_resource(demand, policy).or_else(|| forbidden_selection(demand, affinity, policy));
    Some(match (forbidden(), nearest, denial) {
        (Some(violation), ..) => violation,
        (
            None,
            Some((Distance::MissingRequirement | Distance::TooManyShares | Distance::OtherRequest, candidate)),
            _,
        ) => Violation::not_rewritten(&candidate, affinity, policy),
        (None, _, Some(denial)) => Violation::refused(denial),
        (None, Some((Distance::RuledOut, candidate)), None) => Violation::ruled_out(&candidate, affinity),
        (None, None, None) => Violation::refused(Denial::no_strategy()),
    })
}

/// `None` if the pod is what the candidate would make of it.
fn distance(candidate: &Candidate<'_>, affinity: &NormalizedAffinity<'_>) -> Option<Distance> {
    let missing = node_requirements::missing_requirement(candidate, affinity);
    if node_requirements::is_ruled_out(candidate, affinity) {
        return Some(Distance::RuledOut);
    }
    if candidate.rewrites.iter().all(|rewrite| !rewrite.is_change()) {
        // Nothing shows that plain `nvidia.com/gpu` was meant as a MIG device.
        let is_single = matches!(candidate.naming, ResourceNaming::MigSingle(_));
        return missing.map(|_| {
            if is_single {
                Distance::OtherRequest
            } else {
                Distance::MissingRequirement
            }
        });
    }
    let gives_shares = matches!(candidate.rule.strategy, Strategy::Mps | Strategy::TimeSlicing);
    // `nvidia.com/gpu 4` in a pod that is not restricted to shared GPUs requests four whole GPUs.
    let requests_shares = |rewrite: &ContainerRewrite| rewrite.resource.is_renamed_share() || missing.is_none();
    let only_requests_more = |rewrite: &ContainerRewrite| {
        let counts = &rewrite.container.counts;
        counts.len() == 1 && counts.get(rewrite.resource) > 0 && requests_shares(rewrite)
    };
    Some(if gives_shares && candidate.rewrites.iter().all(only_requests_more) {
        Distance::TooManyShares
    } else {
        Distance::OtherRequest
    })
}

/// The first requested resource whose name shows that it is shared in a way that the policy does
/// not allow.
fn forbidden_resource(demand: &PodDemand, policy: &Policy) -> Option<Violation> {
    let allows_any = |strategies: &[Strategy]| strategies.iter().any(|strategy| policy.allows(*strategy));
    let is_allowed = |resource: GpuResource| match resource {
        GpuResource::Gpu => true,
        GpuResource::GpuShared => allows_any(&[Strategy::Mps, Strategy::TimeSlicing]),
        GpuResource::Mig(_) => allows_any(&[Strategy::Mig]),
        GpuResource::MigShared(_) => allows_any(&[Strategy::TimeSlicing]),
    };
    let mut requested = demand.containers.iter().flat_map(|container| {
        let resources = container.counts.iter();
        resources.map(move |(resource, _)| (container, resource))
    });
    let (container, resource) = requested.find(|(_, resource)| !is_allowed(*resource))?;
    Some(Violation::forbidden_resource(container, resource, policy))
}

/// A node selection that leaves only nodes that share in a way that the policy does not allow.
fn forbidden_selection(demand: &PodDemand, affinity: &NormalizedAffinity<'_>, policy: &Policy) -> Option<Violation> {
    let is_plain = |resource| matches!(resource, GpuResource::Gpu | GpuResource::GpuShared);
    if !demand.total().iter().all(|(resource, _)| is_plain(resource)) {
        return None;
    }
    let key = GpuResource::Gpu.label_key(SUFFIX_SHARING_STRATEGY);
    debug_assert_eq!(key, gpu_label::SHARING_STRATEGY);
    let selected = affinity.pinned_values(&key)?;
    let is_allowed = |value: &&str| match value.parse::<Strategy>() {
        Ok(strategy) => policy.allows(strategy),
        // `none` means whole GPUs, or MIG devices under strategy `single`.
        Err(_) => policy.allows(Strategy::Exclusive) || policy.allows(Strategy::Mig),
    };
    let is_forbidden = !selected.iter().any(is_allowed);
    is_forbidden.then(|| Violation::forbidden_selection(&key, &selected, policy))
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Pod, requirement};
    use serde_json::Value;

    use super::*;
    use crate::decision::ViolationKind;
    use crate::policy::parse;

    const GPU: &str = "nvidia.com/gpu";
    const SHARED: &str = "nvidia.com/gpu.shared";
    const MIG: &str = "nvidia.com/mig-1g.10gb";

    fn policy(name: &str, spec: &str) -> Policy {
        let text = apportion_testing::Policy::new(name, spec).to_string();
        parse::parse("t.yaml", &text).unwrap().remove(0)
    }

    fn policies(name: &str) -> Policy {
        let strategies = match name {
            "training" => "{strategy: exclusive}",
            "multi-tenant" => "{strategy: mig, profiles: [1g.10gb, 2g.20gb]}",
            "development" => "{strategy: time-slicing}",
            _ => "{strategy: mig, profiles: [1g.10gb], products: [A100]}, {strategy: mps, products: [T4]}",
        };
        policy(name, &format!("{{strategies: [{strategies}]}}"))
    }

    /// A pod on a node, with a container that has this limit.
    fn pod(resource: &str, count: u64) -> Pod {
        Pod::new("p")
            .on_node("n")
            .container(Container::new("c").limit(resource, count))
    }

    fn violation_of(policy: &Policy, pod: &Pod) -> Option<Violation> {
        let json = pod.to_string();
        let pod: crate::k8s::Pod<'_> = serde_json::from_str(&json).unwrap();
        find_violation(&PodSummary::from_pod(&pod), policy)
    }

    fn sharing(strategy: &str) -> Value {
        requirement("nvidia.com/gpu.sharing-strategy", "In", &[strategy])
    }

    fn product(products: &[&str]) -> Value {
        requirement(gpu_label::PRODUCT, "In", products)
    }

    /// Excludes time-sliced MIG devices.
    fn not_sliced() -> Value {
        requirement("nvidia.com/mig-1g.10gb.sharing-strategy", "NotIn", &["time-slicing"])
    }

    #[test]
    fn pods_that_bypassed_the_webhook_are_found() {
        use ViolationKind::{ForbiddenStrategy, NotRewritten, Refused, TooManyShares};
        const SELECTION: &str = "spec.nodeSelector and spec.affinity";
        struct Row {
            case: &'static str,
            policy: &'static str,
            pod: Pod,
            kind: ViolationKind,
            field: &'static str,
            reason: &'static str,
        }
        let row = || Row {
            case: "",
            policy: "multi-tenant",
            pod: pod(MIG, 1),
            kind: NotRewritten,
            field: "spec.containers[0].resources.limits",
            reason: "",
        };
        let sliced = |resource, count| pod(resource, count).node_affinity_term(&[sharing("time-slicing")]);
        for Row {
            case,
            policy,
            pod,
            kind,
            field,
            reason,
        } in [
            Row {
                case: "the webhook did not run",
                pod: pod(GPU, 1),
                reason: "asks for nvidia.com/gpu 1, but policy multi-tenant gives nvidia.com/mig-1g.10gb 1 (mig)",
                ..row()
            },
            Row {
                case: "the webhook did not run, but the resource is right",
                policy: "training",
                pod: pod(GPU, 8),
                field: "spec.affinity.nodeAffinity",
                reason: "nothing restricts the pod to nodes that serve nvidia.com/gpu by exclusive: nvidia.com/gpu.sharing-strategy=none is missing",
                ..row()
            },
            Row {
                case: "a partition that may be time-sliced",
                field: "spec.affinity.nodeAffinity",
                reason: "nvidia.com/mig-1g.10gb.sharing-strategy!=time-slicing is missing",
                ..row()
            },
            Row {
                case: "a time slice by name",
                policy: "training",
                pod: sliced(SHARED, 1),
                kind: ForbiddenStrategy,
                reason: "asks for nvidia.com/gpu.shared, but policy training only allows exclusive",
                ..row()
            },
            Row {
                case: "a time slice by selection",
                policy: "training",
                pod: sliced(GPU, 1),
                kind: ForbiddenStrategy,
                field: SELECTION,
                reason: "select nvidia.com/gpu.sharing-strategy=time-slicing, but policy training only allows exclusive",
            },
            Row {
                case: "a time slice instead of MIG or MPS",
                policy: "inference",
                pod: sliced(SHARED, 1),
                kind: ForbiddenStrategy,
                field: SELECTION,
                reason: "only allows mig, mps",
            },
            Row {
                case: "four shares",
                policy: "development",
                pod: sliced(SHARED, 4),
                kind: TooManyShares,
                reason: "asks for nvidia.com/gpu.shared 4, but the policy gives one share",
                ..row()
            },
            Row {
                case: "four shares under the plain name",
                policy: "development",
                pod: sliced(GPU, 4),
                kind: TooManyShares,
                reason: "asks for nvidia.com/gpu 4",
                ..row()
            },
            Row {
                case: "four GPUs",
                policy: "development",
                pod: pod(GPU, 4),
                reason: "gives nvidia.com/gpu.shared 1 (time-slicing)",
                ..row()
            },
            Row {
                case: "a larger profile",
                pod: pod("nvidia.com/mig-3g.40gb", 1),
                kind: Refused,
                reason: "more than the policy allows",
                ..row()
            },
            Row {
                case: "an invalid profile",
                pod: pod("nvidia.com/mig-huge", 1),
                kind: Refused,
                field: "spec.containers[0].resources.limits[nvidia.com/mig-huge]",
                reason: "no MIG profile",
                ..row()
            },
            Row {
                case: "MIG on a product without MIG",
                pod: pod(MIG, 1).node_affinity_term(&[product(&["Tesla-T4"])]),
                kind: Refused,
                field: SELECTION,
                reason: "rules out every node with nvidia.com/mig-1g.10gb (mig)",
                ..row()
            },
            Row {
                case: "a partition instead of a time slice",
                policy: "development",
                kind: ForbiddenStrategy,
                reason: "only allows time-slicing",
                ..row()
            },
        ] {
            let violation = violation_of(&policies(policy), &pod).unwrap_or_else(|| panic!("{case}: no violation"));
            assert_eq!(
                (violation.kind, violation.field.as_str()),
                (kind, field),
                "{case}: {violation:?}"
            );
            assert!(violation.reason.contains(reason), "{case}: {}", violation.reason);
            assert!(!violation.hint.is_empty());
        }
    }

    #[test]
    fn compliant_pods_have_no_violation() {
        let whole = [sharing("none"), requirement(gpu_label::MIG_SLICES, "DoesNotExist", &[])];
        // MIG single, whether such a node exists or not.
        let single = |products: &[&str]| pod(GPU, 1).node_affinity_term(&[sharing("none"), product(products)]);
        let several = pod(GPU, 1)
            .container(Container::new("d").limit("cpu", 1))
            .container(Container::new("e").limit(GPU, 2));
        for (policy, pod) in [
            ("training", pod(GPU, 8).node_affinity_term(&whole)),
            ("training", several.node_affinity_term(&whole)),
            ("multi-tenant", pod(MIG, 2).node_affinity_term(&[not_sliced()])),
            ("multi-tenant", single(&["NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"])),
            (
                "inference",
                single(&["NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "NVIDIA-A100-PCIE-80GB-MIG-1g.10gb"]),
            ),
            ("inference", pod(MIG, 1).node_affinity_term(&[not_sliced()])),
            ("inference", pod(SHARED, 1).node_affinity_term(&[sharing("mps")])),
            (
                "development",
                pod(SHARED, 1).node_affinity_term(&[sharing("time-slicing")]),
            ),
            (
                "development",
                pod(GPU, 1).node_affinity_term(&[sharing("time-slicing")]),
            ),
            ("development", pod("nvidia.com/mig-1g.10gb.shared", 1)),
        ] {
            assert_eq!(violation_of(&policies(policy), &pod), None, "{policy} {pod}");
        }
        for product in ["NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", "NVIDIA-A100-SXM4-80GB"] {
            let pod = single(&[product]);
            assert!(violation_of(&policies("multi-tenant"), &pod).is_some(), "{pod}");
        }
    }

    #[test]
    fn policies_that_do_not_enforce_and_mirror_pods_have_no_violations() {
        for mode in [Mode::Warn, Mode::Audit] {
            let lenient = Policy {
                mode,
                ..policies("multi-tenant")
            };
            assert_eq!(violation_of(&lenient, &pod(GPU, 1)), None);
        }
        let mirror = pod(GPU, 1).annotation("kubernetes.io/config.mirror", "x");
        assert_eq!(violation_of(&policies("multi-tenant"), &mirror), None);
        // Anyone can write the annotation, so it proves nothing.
        let forged = pod(GPU, 1).annotation("apportion.dev/decision", r#"{"policy":"multi-tenant"}"#);
        assert!(violation_of(&policies("multi-tenant"), &forged).is_some());
    }

    #[test]
    fn gpu_bypasses_are_violations_if_the_policy_denies_them() {
        let tenants = policy(
            "tenants",
            "{isolation: {nodeName: Deny}, strategies: [{strategy: mig, profiles: [1g.10gb]}]}",
        );
        let compliant = || pod(MIG, 1).node_affinity_term(&[not_sliced()]);
        let with_log = |log: Container| compliant().container(log);
        let log = || Container::new("log");
        // The scheduler may have set nodeName, so it is no violation in a running pod.
        assert_eq!(violation_of(&tenants, &compliant()), None);
        let hidden = with_log(log().env("NVIDIA_VISIBLE_DEVICES", "void"));
        assert_eq!(violation_of(&tenants, &hidden), None);
        let debugger = Container::new("d").env("NVIDIA_VISIBLE_DEVICES", "all");
        for (case, pod, field) in [
            ("the image", with_log(log()), "spec.containers[1].env"),
            ("the pod", compliant().set("/spec/hostIPC", true), "spec.hostIPC"),
            (
                "added later",
                compliant().ephemeral_container(debugger),
                "spec.ephemeralContainers[0].env[0]",
            ),
        ] {
            let violation = violation_of(&tenants, &pod).unwrap();
            assert_eq!(
                (violation.kind, &*violation.field),
                (ViolationKind::NotIsolated, field),
                "{case}"
            );
            assert_eq!(
                violation_of(&policies("multi-tenant"), &pod),
                None,
                "{case}: the policy has no isolation"
            );
        }
    }

    /// A cluster has up to 30,000 GPU pods, each about a kilobyte with what these types point to.
    #[test]
    fn records_of_pods_are_small() {
        use crate::inventory::PodRecord;
        assert!(size_of::<PodRecord>() <= 136, "{}", size_of::<PodRecord>());
        assert!(size_of::<PodSummary>() <= 168, "{}", size_of::<PodSummary>());
    }
}
