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
    use super::*;
    use crate::decision::ViolationKind;
    use crate::k8s::Pod;
    use crate::policy::parse;

    fn policy(name: &str, strategies: &str) -> Policy {
        let text = format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec: {{strategies: [{strategies}]}}\n"
        );
        parse::parse("t.yaml", &text).unwrap().remove(0)
    }

    fn policies(name: &str) -> Policy {
        match name {
            "training" => policy(name, "{strategy: exclusive}"),
            "multi-tenant" => policy(name, "{strategy: mig, profiles: [1g.10gb, 2g.20gb]}"),
            "development" => policy(name, "{strategy: time-slicing}"),
            _ => policy(
                name,
                "{strategy: mig, profiles: [1g.10gb], products: [A100]}, {strategy: mps, products: [T4]}",
            ),
        }
    }

    /// A pod with one container for each of `limits`, and a node affinity term with these
    /// expressions.
    fn pod(limits: &[&str], expressions: &str) -> String {
        let containers: Vec<String> = limits
            .iter()
            .map(|limits| format!(r#"{{"name":"c","resources":{{"limits":{{{limits}}}}}}}"#))
            .collect();
        let affinity = match expressions {
            "" => "{}".to_owned(),
            expressions => format!(
                r#"{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{{"matchExpressions":[{expressions}]}}]}}}}}}"#
            ),
        };
        format!(
            r#"{{"spec":{{"nodeName":"n","affinity":{affinity},"containers":[{}]}}}}"#,
            containers.join(",")
        )
    }

    fn violation_of(policy: &Policy, pod: &str) -> Option<Violation> {
        let pod: Pod<'_> = serde_json::from_str(pod).unwrap();
        find_violation(&PodSummary::from_pod(&pod), policy)
    }

    const SHARING: &str = "nvidia.com/gpu.sharing-strategy";

    fn expression(operator: &str, key: &str, values: &[&str]) -> String {
        format!(r#"{{"key":"{key}","operator":"{operator}","values":{values:?}}}"#)
    }

    #[test]
    fn pods_that_bypassed_the_webhook_are_found() {
        use ViolationKind::{ForbiddenStrategy, NotRewritten, Refused, TooManyShares};
        let slices = expression("In", SHARING, &["time-slicing"]);
        let t4 = expression("In", gpu_label::PRODUCT, &["Tesla-T4"]);
        for (case, policy, limits, expressions, kind, field, reason) in [
            (
                "the webhook did not run",
                "multi-tenant",
                r#""nvidia.com/gpu":1"#,
                "",
                NotRewritten,
                "spec.containers[0].resources.limits",
                "asks for nvidia.com/gpu 1, but policy multi-tenant gives nvidia.com/mig-1g.10gb 1 (mig)",
            ),
            (
                "the webhook did not run, but the resource is right",
                "training",
                r#""nvidia.com/gpu":8"#,
                "",
                NotRewritten,
                "spec.affinity.nodeAffinity",
                "nothing restricts the pod to nodes that serve nvidia.com/gpu by exclusive: nvidia.com/gpu.sharing-strategy=none is missing",
            ),
            (
                "a partition that may be time-sliced",
                "multi-tenant",
                r#""nvidia.com/mig-1g.10gb":1"#,
                "",
                NotRewritten,
                "spec.affinity.nodeAffinity",
                "nvidia.com/mig-1g.10gb.sharing-strategy!=time-slicing is missing",
            ),
            (
                "a time slice by name",
                "training",
                r#""nvidia.com/gpu.shared":1"#,
                &slices,
                ForbiddenStrategy,
                "spec.containers[0].resources.limits",
                "asks for nvidia.com/gpu.shared, but policy training only allows exclusive",
            ),
            (
                "a time slice by selection",
                "training",
                r#""nvidia.com/gpu":1"#,
                &slices,
                ForbiddenStrategy,
                "spec.nodeSelector and spec.affinity",
                "select nvidia.com/gpu.sharing-strategy=time-slicing, but policy training only allows exclusive",
            ),
            (
                "a time slice instead of MIG or MPS",
                "inference",
                r#""nvidia.com/gpu.shared":1"#,
                &slices,
                ForbiddenStrategy,
                "spec.nodeSelector and spec.affinity",
                "only allows mig, mps",
            ),
            (
                "four shares",
                "development",
                r#""nvidia.com/gpu.shared":4"#,
                &slices,
                TooManyShares,
                "spec.containers[0].resources.limits",
                "asks for nvidia.com/gpu.shared 4, but the policy gives one share",
            ),
            (
                "four shares under the plain name",
                "development",
                r#""nvidia.com/gpu":4"#,
                &slices,
                TooManyShares,
                "spec.containers[0].resources.limits",
                "asks for nvidia.com/gpu 4",
            ),
            (
                "four GPUs",
                "development",
                r#""nvidia.com/gpu":4"#,
                "",
                NotRewritten,
                "spec.containers[0].resources.limits",
                "gives nvidia.com/gpu.shared 1 (time-slicing)",
            ),
            (
                "a larger profile",
                "multi-tenant",
                r#""nvidia.com/mig-3g.40gb":1"#,
                "",
                Refused,
                "spec.containers[0].resources.limits",
                "more than the policy allows",
            ),
            (
                "an invalid profile",
                "multi-tenant",
                r#""nvidia.com/mig-huge":1"#,
                "",
                Refused,
                "spec.containers[0].resources.limits[nvidia.com/mig-huge]",
                "no MIG profile",
            ),
            (
                "MIG on a product without MIG",
                "multi-tenant",
                r#""nvidia.com/mig-1g.10gb":1"#,
                &t4,
                Refused,
                "spec.nodeSelector and spec.affinity",
                "rules out every node with nvidia.com/mig-1g.10gb (mig)",
            ),
            (
                "a partition instead of a time slice",
                "development",
                r#""nvidia.com/mig-1g.10gb":1"#,
                "",
                ForbiddenStrategy,
                "spec.containers[0].resources.limits",
                "only allows time-slicing",
            ),
        ] {
            let violation = violation_of(&policies(policy), &pod(&[limits], expressions))
                .unwrap_or_else(|| panic!("{case}: no violation"));
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
        let sharing = |value| expression("In", SHARING, &[value]);
        let whole = format!(
            "{},{}",
            sharing("none"),
            expression("DoesNotExist", gpu_label::MIG_SLICES, &[])
        );
        let no_slice = expression("NotIn", "nvidia.com/mig-1g.10gb.sharing-strategy", &["time-slicing"]);
        let single =
            |products: &[&str]| format!("{},{}", sharing("none"), expression("In", gpu_label::PRODUCT, products));
        let gpu = r#""nvidia.com/gpu":1"#;
        for (policy, limits, expressions) in [
            ("training", vec![r#""nvidia.com/gpu":8"#], whole.clone()),
            ("training", vec![gpu, r#""cpu":1"#, r#""nvidia.com/gpu":2"#], whole),
            ("multi-tenant", vec![r#""nvidia.com/mig-1g.10gb":2"#], no_slice.clone()),
            // MIG single, whether such a node exists or not.
            (
                "multi-tenant",
                vec![gpu],
                single(&["NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"]),
            ),
            (
                "inference",
                vec![gpu],
                single(&["NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "NVIDIA-A100-PCIE-80GB-MIG-1g.10gb"]),
            ),
            ("inference", vec![r#""nvidia.com/mig-1g.10gb":1"#], no_slice),
            ("inference", vec![r#""nvidia.com/gpu.shared":1"#], sharing("mps")),
            (
                "development",
                vec![r#""nvidia.com/gpu.shared":1"#],
                sharing("time-slicing"),
            ),
            ("development", vec![gpu], sharing("time-slicing")),
            (
                "development",
                vec![r#""nvidia.com/mig-1g.10gb.shared":1"#],
                String::new(),
            ),
        ] {
            assert_eq!(
                violation_of(&policies(policy), &pod(&limits, &expressions)),
                None,
                "{policy} {limits:?}"
            );
        }
        for (limits, products) in [
            (gpu, ["NVIDIA-A100-SXM4-80GB-MIG-3g.40gb"]),
            (gpu, ["NVIDIA-A100-SXM4-80GB"]),
        ] {
            assert!(violation_of(&policies("multi-tenant"), &pod(&[limits], &single(&products))).is_some());
        }
    }

    #[test]
    fn policies_that_do_not_enforce_and_mirror_pods_have_no_violations() {
        let not_rewritten = pod(&[r#""nvidia.com/gpu":1"#], "");
        for mode in [Mode::Warn, Mode::Audit] {
            let lenient = Policy {
                mode,
                ..policies("multi-tenant")
            };
            assert_eq!(violation_of(&lenient, &not_rewritten), None);
        }
        let mirror = not_rewritten.replacen(
            '{',
            r#"{"metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}},"#,
            1,
        );
        assert_eq!(violation_of(&policies("multi-tenant"), &mirror), None);
        // Anyone can write the annotation, so it proves nothing.
        let forged = not_rewritten.replacen(
            '{',
            r#"{"metadata":{"annotations":{"apportion.dev/decision":"{\"policy\":\"multi-tenant\"}"}},"#,
            1,
        );
        assert!(violation_of(&policies("multi-tenant"), &forged).is_some());
    }

    #[test]
    fn gpu_bypasses_are_violations_if_the_policy_denies_them() {
        let text = "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {name: tenants}\nspec: {isolation: {nodeName: Deny}, strategies: [{strategy: mig, profiles: [1g.10gb]}]}\n";
        let tenants = parse::parse("t.yaml", text).unwrap().remove(0);
        let no_slice = expression("NotIn", "nvidia.com/mig-1g.10gb.sharing-strategy", &["time-slicing"]);
        let compliant = pod(&[r#""nvidia.com/mig-1g.10gb":1"#], &no_slice);
        // The scheduler may have set nodeName, so it is no violation in a running pod.
        assert_eq!(violation_of(&tenants, &compliant), None);
        let sidecar =
            |env: &str| compliant.replace(r#""containers":["#, &format!(r#""containers":[{{"name":"log"{env}}},"#));
        let hidden = r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"void"}]"#;
        assert_eq!(violation_of(&tenants, &sidecar(hidden)), None);
        for (case, pod, field) in [
            ("the image", sidecar(""), "spec.containers[0].env"),
            ("the pod", compliant.replace(r#""spec":{"#, r#""spec":{"hostIPC":true,"#), "spec.hostIPC"),
            (
                "added later",
                compliant.replace(r#""spec":{"#, r#""spec":{"ephemeralContainers":[{"name":"d","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"}]}],"#),
                "spec.ephemeralContainers[0].env[0]",
            ),
        ] {
            let violation = violation_of(&tenants, &pod).unwrap();
            assert_eq!((violation.kind, &*violation.field), (ViolationKind::NotIsolated, field), "{case}");
            assert_eq!(violation_of(&policies("multi-tenant"), &pod), None, "{case}: the policy has no isolation");
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
