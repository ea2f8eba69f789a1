//! Whether a pod that is there keeps to its policy.
//!
//! The question is that of [`decide`](super::decide()), asked afterwards and of the pod alone: is it what some candidate of some rule
//! would make of it? Which nodes there are now does not matter, so the answer changes with the pod and the policy and with nothing else.

use super::candidate::{Candidate, every_candidate};
use super::isolation;
use super::outcome::{Denial, Target};
use super::reach;
use super::resource_naming::ResourceNaming;
use crate::gpu::names::{SUFFIX_SHARING_STRATEGY, gpu_label};
use crate::gpu::{GpuBypass, GpuResource, PodDemand, Strategy};
use crate::inventory::PodSummary;
use crate::k8s::Constraints;
use crate::policy::{Mode, Policy};

/// What a pod does that its policy does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Of which kind it is.
    pub kind: ViolationKind,
    /// The field to blame, as people write it.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

/// Kinds of breaches, few enough for a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationKind {
    /// It is as it was before admission: the webhook would have rewritten it.
    NotRewritten,
    /// It asks for several shares of a GPU where one is given.
    TooManyShares,
    /// What it names or selects is shared in a way that its policy does not allow.
    ForbiddenStrategy,
    /// The webhook would have turned it away.
    Refused,
    /// It has a way to GPUs beside what it asks for.
    NotIsolated,
}

impl ViolationKind {
    /// Every kind.
    pub const ALL: [ViolationKind; 5] = [
        ViolationKind::NotRewritten,
        ViolationKind::TooManyShares,
        ViolationKind::ForbiddenStrategy,
        ViolationKind::Refused,
        ViolationKind::NotIsolated,
    ];

    /// The name in metrics and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            ViolationKind::NotRewritten => "not_rewritten",
            ViolationKind::TooManyShares => "too_many_shares",
            ViolationKind::ForbiddenStrategy => "forbidden_strategy",
            ViolationKind::Refused => "refused",
            ViolationKind::NotIsolated => "not_isolated",
        }
    }
}

const MAKE_ANEW: &str = "delete the pod, so that its controller makes another, which the webhook rewrites";
const ASK_PLAINLY: &str = "ask for nvidia.com/gpu without selecting how it is shared, and make the pod anew";

/// How far a pod is from what a candidate would make of it, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    /// It may go to nodes that serve it otherwise.
    Unpinned,
    /// It asks for more shares than one.
    Shares,
    /// A container asks for something else.
    Other,
    /// Its own node selection rules the candidate out.
    RuledOut,
}

/// What a pod does that the policy that governs it does not allow, if it does.
///
/// A policy that only warns or audits allows everything, and a mirror pod runs whatever anybody says.
pub fn breach(summary: &PodSummary, policy: &Policy) -> Option<Violation> {
    if policy.mode != Mode::Enforce || summary.is_mirror {
        return None;
    }
    sharing_breach(summary, policy).or_else(|| open_door(summary, policy))
}

/// The first side door of a pod that its policy shuts.
fn open_door(summary: &PodSummary, policy: &Policy) -> Option<Violation> {
    let is_shut = |door: &&GpuBypass| policy.isolation.shuts(door.kind);
    let denial = summary.gpu_bypasses.iter().find(is_shut).map(isolation::denial)?;
    Some(Violation {
        kind: ViolationKind::NotIsolated,
        ..refused(&denial)
    })
}

fn sharing_breach(summary: &PodSummary, policy: &Policy) -> Option<Violation> {
    let demand = match &summary.demand {
        Ok(demand) => demand,
        Err(error) => return Some(refused(&Denial::new(&error.field, &error.reason, MAKE_ANEW))),
    };
    if demand.is_empty() {
        return None;
    }
    let constraints = &summary.scheduling.constraints;
    let mut nearest: Option<(Distance, Candidate<'_>)> = None;
    let mut denial = None;
    for rule in policy.sharing_rules() {
        match every_candidate(rule, demand) {
            Err(reason) => denial = denial.or(Some(reason)),
            Ok(candidates) => {
                for candidate in candidates {
                    let distance = distance(&candidate, constraints)?;
                    if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                        nearest = Some((distance, candidate));
                    }
                }
            }
        }
    }
    let forbidden = || forbidden_name(demand, policy).or_else(|| forbidden_selection(demand, constraints, policy));
    Some(match (nearest, denial) {
        // One share under a name of its own needs no other rule to be too many.
        (Some((Distance::Shares, candidate)), _) => too_many(&candidate),
        (nearest, denial) => match (forbidden(), nearest, denial) {
            (Some(breach), ..) => breach,
            (None, Some((Distance::Unpinned | Distance::Other | Distance::Shares, candidate)), _) => {
                not_rewritten(&candidate, constraints, policy)
            }
            (None, _, Some(denial)) => refused(&denial),
            (None, Some((Distance::RuledOut, candidate)), None) => ruled_out(&candidate, constraints),
            (None, None, None) => refused(&Denial::new("spec", "the policy allows no strategy", "mend the policy")),
        },
    })
}

/// How far the pod is from a candidate; `None` when it is one.
fn distance(candidate: &Candidate<'_>, constraints: &Constraints<'_>) -> Option<Distance> {
    let unpinned = reach::unpinned(candidate, constraints);
    if reach::is_ruled_out(candidate, constraints) {
        return Some(Distance::RuledOut);
    }
    if candidate.targets.iter().all(|target| !target.is_change()) {
        // Nobody can tell that plain `nvidia.com/gpu` was meant as a MIG device.
        let is_single = matches!(candidate.naming, ResourceNaming::MigSingle(_));
        return unpinned.map(|_| if is_single { Distance::Other } else { Distance::Unpinned });
    }
    let shares = matches!(candidate.rule.strategy, Strategy::Mps | Strategy::TimeSlicing);
    // `nvidia.com/gpu 4` that nothing keeps to shared GPUs asks for four whole ones.
    let says_shares = |target: &Target| target.resource.is_renamed_share() || unpinned.is_none();
    let only_more = |target: &Target| {
        let counts = &target.container.counts;
        counts.len() == 1 && counts.get(target.resource) > 0 && says_shares(target)
    };
    Some(if shares && candidate.targets.iter().all(only_more) {
        Distance::Shares
    } else {
        Distance::Other
    })
}

fn limits(target: &Target) -> String {
    format!("{}.resources.limits", target.container.field())
}

fn refused(denial: &Denial) -> Violation {
    Violation {
        kind: ViolationKind::Refused,
        field: denial.field.clone(),
        reason: denial.reason.clone(),
        hint: denial.hint.clone(),
    }
}

fn ruled_out(candidate: &Candidate<'_>, constraints: &Constraints<'_>) -> Violation {
    let own = constraints.against(&reach::identity_anywhere(candidate));
    let (field, own) = match own.as_deref().and_then(|words| words.split_once(": ")) {
        Some((field, own)) => (field, own),
        None => ("spec.nodeSelector and spec.affinity", "the node selection"),
    };
    Violation {
        kind: ViolationKind::Refused,
        field: field.to_owned(),
        reason: format!(
            "{own} rules out every node with {} ({})",
            candidate.naming, candidate.rule.strategy
        ),
        hint: ASK_PLAINLY.to_owned(),
    }
}

fn too_many(candidate: &Candidate<'_>) -> Violation {
    let more = candidate.targets.iter().find(|target| target.is_change());
    let (field, counts) = more.map_or_else(Default::default, |target| {
        (limits(target), target.container.counts.to_string())
    });
    Violation {
        kind: ViolationKind::TooManyShares,
        field,
        reason: format!("asks for {counts} where one share is given; more shares give no more compute"),
        hint: MAKE_ANEW.to_owned(),
    }
}

fn not_rewritten(candidate: &Candidate<'_>, constraints: &Constraints<'_>, policy: &Policy) -> Violation {
    let (field, reason) = match candidate.targets.iter().find(|target| target.is_change()) {
        Some(target) => (
            limits(target),
            format!(
                "asks for {} where policy {} gives {} ({})",
                target.container.counts,
                policy.name,
                target.after(),
                candidate.rule.strategy
            ),
        ),
        None => (
            "spec.affinity.nodeAffinity".to_owned(),
            format!(
                "nothing keeps the pod to nodes that serve {} by {}: {} is missing",
                candidate.naming.resource(),
                candidate.rule.strategy,
                reach::unpinned(candidate, constraints).unwrap_or_default()
            ),
        ),
    };
    Violation {
        kind: ViolationKind::NotRewritten,
        field,
        reason,
        hint: MAKE_ANEW.to_owned(),
    }
}

fn allowed(policy: &Policy) -> String {
    let mut names: Vec<&str> = policy.sharing_rules().map(|rule| rule.strategy.as_str()).collect();
    names.dedup();
    names.join(", ")
}

/// A name that says by itself that it is shared in a way that the policy does not allow.
fn forbidden_name(demand: &PodDemand, policy: &Policy) -> Option<Violation> {
    let may = |strategies: &[Strategy]| strategies.iter().any(|strategy| policy.allows(*strategy));
    let is_allowed = |resource: GpuResource| match resource {
        GpuResource::Gpu => true,
        GpuResource::GpuShared => may(&[Strategy::Mps, Strategy::TimeSlicing]),
        GpuResource::Mig(_) => may(&[Strategy::Mig]),
        GpuResource::MigShared(_) => may(&[Strategy::TimeSlicing]),
    };
    let mut asked = demand.containers.iter().flat_map(|container| {
        let resources = container.counts.iter();
        resources.map(move |(resource, _)| (container, resource))
    });
    let (container, resource) = asked.find(|(_, resource)| !is_allowed(*resource))?;
    Some(Violation {
        kind: ViolationKind::ForbiddenStrategy,
        field: format!("{}.resources.limits", container.field()),
        reason: format!(
            "asks for {resource} while policy {} allows {} alone",
            policy.name,
            allowed(policy)
        ),
        hint: ASK_PLAINLY.to_owned(),
    })
}

/// A node selection that leaves only nodes that share in a way that the policy does not allow.
fn forbidden_selection(demand: &PodDemand, constraints: &Constraints<'_>, policy: &Policy) -> Option<Violation> {
    let is_plain = |resource| matches!(resource, GpuResource::Gpu | GpuResource::GpuShared);
    if !demand.total().iter().all(|(resource, _)| is_plain(resource)) {
        return None;
    }
    let key = GpuResource::Gpu.label_key(SUFFIX_SHARING_STRATEGY);
    debug_assert_eq!(key, gpu_label::SHARING_STRATEGY);
    let selected = constraints.pinned_values(&key)?;
    let is_allowed = |value: &String| match value.parse::<Strategy>() {
        Ok(strategy) => policy.allows(strategy),
        // `none`: whole GPUs, or MIG devices under strategy `single`.
        Err(_) => policy.allows(Strategy::Exclusive) || policy.allows(Strategy::Mig),
    };
    if selected.iter().any(is_allowed) {
        return None;
    }
    Some(Violation {
        kind: ViolationKind::ForbiddenStrategy,
        field: "spec.nodeSelector and spec.affinity".to_owned(),
        reason: format!(
            "select {key}={} while policy {} allows {} alone",
            selected.join(", "),
            policy.name,
            allowed(policy)
        ),
        hint: ASK_PLAINLY.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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

    /// A pod with one container for each of `asks`, on nodes with `node` (expressions of one term).
    fn pod(asks: &[&str], node: &str) -> String {
        let containers: Vec<String> = asks
            .iter()
            .map(|limits| format!(r#"{{"name":"c","resources":{{"limits":{{{limits}}}}}}}"#))
            .collect();
        let affinity = match node {
            "" => "{}".to_owned(),
            node => format!(
                r#"{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{{"matchExpressions":[{node}]}}]}}}}}}"#
            ),
        };
        format!(
            r#"{{"spec":{{"nodeName":"n","affinity":{affinity},"containers":[{}]}}}}"#,
            containers.join(",")
        )
    }

    fn found(policy: &Policy, pod: &str) -> Option<Violation> {
        let pod: Pod<'_> = serde_json::from_str(pod).unwrap();
        breach(&PodSummary::of(&pod), policy)
    }

    const SHARING: &str = "nvidia.com/gpu.sharing-strategy";

    fn one(operator: &str, key: &str, values: &[&str]) -> String {
        format!(r#"{{"key":"{key}","operator":"{operator}","values":{values:?}}}"#)
    }

    #[test]
    fn pods_that_slipped_past_are_found() {
        use ViolationKind::{ForbiddenStrategy, NotRewritten, Refused, TooManyShares};
        let slices = one("In", SHARING, &["time-slicing"]);
        let t4 = one("In", gpu_label::PRODUCT, &["Tesla-T4"]);
        for (case, policy, asks, node, kind, field, words) in [
            (
                "webhook away",
                "multi-tenant",
                r#""nvidia.com/gpu":1"#,
                "",
                NotRewritten,
                "spec.containers[0].resources.limits",
                "asks for nvidia.com/gpu 1 where policy multi-tenant gives nvidia.com/mig-1g.10gb 1 (mig)",
            ),
            (
                "webhook away, the right name",
                "training",
                r#""nvidia.com/gpu":8"#,
                "",
                NotRewritten,
                "spec.affinity.nodeAffinity",
                "nothing keeps the pod to nodes that serve nvidia.com/gpu by exclusive: nvidia.com/gpu.sharing-strategy=none is missing",
            ),
            (
                "a partition that time slices are not kept from",
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
                "asks for nvidia.com/gpu.shared while policy training allows exclusive alone",
            ),
            (
                "a time slice by selection",
                "training",
                r#""nvidia.com/gpu":1"#,
                &slices,
                ForbiddenStrategy,
                "spec.nodeSelector and spec.affinity",
                "select nvidia.com/gpu.sharing-strategy=time-slicing while policy training allows exclusive alone",
            ),
            (
                "a slice instead of MIG or MPS",
                "inference",
                r#""nvidia.com/gpu.shared":1"#,
                &slices,
                ForbiddenStrategy,
                "spec.nodeSelector and spec.affinity",
                "allows mig, mps alone",
            ),
            (
                "four shares",
                "development",
                r#""nvidia.com/gpu.shared":4"#,
                &slices,
                TooManyShares,
                "spec.containers[0].resources.limits",
                "asks for nvidia.com/gpu.shared 4 where one share is given",
            ),
            (
                "four shares that are not renamed",
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
                "a profile that is none",
                "multi-tenant",
                r#""nvidia.com/mig-huge":1"#,
                "",
                Refused,
                "spec.containers[0].resources.limits[nvidia.com/mig-huge]",
                "no MIG profile",
            ),
            (
                "MIG on a product that has none",
                "multi-tenant",
                r#""nvidia.com/mig-1g.10gb":1"#,
                &t4,
                Refused,
                "spec.nodeSelector and spec.affinity",
                "rules out every node with nvidia.com/mig-1g.10gb (mig)",
            ),
            (
                "a partition where slices are meant",
                "development",
                r#""nvidia.com/mig-1g.10gb":1"#,
                "",
                ForbiddenStrategy,
                "spec.containers[0].resources.limits",
                "allows time-slicing alone",
            ),
        ] {
            let breach = found(&policies(policy), &pod(&[asks], node)).unwrap_or_else(|| panic!("{case}: no breach"));
            assert_eq!(
                (breach.kind, breach.field.as_str()),
                (kind, field),
                "{case}: {breach:?}"
            );
            assert!(breach.reason.contains(words), "{case}: {}", breach.reason);
            assert!(!breach.hint.is_empty());
        }
    }

    #[test]
    fn pods_that_are_right_are_left_alone() {
        let sharing = |value| one("In", SHARING, &[value]);
        let whole = format!(
            "{},{}",
            sharing("none"),
            one("DoesNotExist", gpu_label::MIG_SLICES, &[])
        );
        let no_slice = one("NotIn", "nvidia.com/mig-1g.10gb.sharing-strategy", &["time-slicing"]);
        let single = |products: &[&str]| format!("{},{}", sharing("none"), one("In", gpu_label::PRODUCT, products));
        let gpu = r#""nvidia.com/gpu":1"#;
        for (policy, asks, node) in [
            ("training", vec![r#""nvidia.com/gpu":8"#], whole.clone()),
            ("training", vec![gpu, r#""cpu":1"#, r#""nvidia.com/gpu":2"#], whole),
            ("multi-tenant", vec![r#""nvidia.com/mig-1g.10gb":2"#], no_slice.clone()),
            // Single MIG, whether such a node is there or not.
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
            assert_eq!(found(&policies(policy), &pod(&asks, &node)), None, "{policy} {asks:?}");
        }
        for (asks, products) in [
            (gpu, ["NVIDIA-A100-SXM4-80GB-MIG-3g.40gb"]),
            (gpu, ["NVIDIA-A100-SXM4-80GB"]),
        ] {
            assert!(found(&policies("multi-tenant"), &pod(&[asks], &single(&products))).is_some());
        }
    }

    #[test]
    fn who_may_not_be_told_breaks_nothing() {
        let slipped = pod(&[r#""nvidia.com/gpu":1"#], "");
        for mode in [Mode::Warn, Mode::Audit] {
            let lenient = Policy {
                mode,
                ..policies("multi-tenant")
            };
            assert_eq!(found(&lenient, &slipped), None);
        }
        let mirror = slipped.replacen(
            '{',
            r#"{"metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}},"#,
            1,
        );
        assert_eq!(found(&policies("multi-tenant"), &mirror), None);
        // A record that anybody can write is no excuse.
        let forged = slipped.replacen(
            '{',
            r#"{"metadata":{"annotations":{"apportion.dev/decision":"{\"policy\":\"multi-tenant\"}"}},"#,
            1,
        );
        assert!(found(&policies("multi-tenant"), &forged).is_some());
    }

    #[test]
    fn open_side_doors_are_breaches_where_the_policy_shuts_them() {
        let text = "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {name: tenants}\nspec: {isolation: {nodeName: Deny}, strategies: [{strategy: mig, profiles: [1g.10gb]}]}\n";
        let tenants = parse::parse("t.yaml", text).unwrap().remove(0);
        let no_slice = one("NotIn", "nvidia.com/mig-1g.10gb.sharing-strategy", &["time-slicing"]);
        let right = pod(&[r#""nvidia.com/mig-1g.10gb":1"#], &no_slice);
        // Its node was named by the scheduler, for all that can be told afterwards.
        assert_eq!(found(&tenants, &right), None);
        let sidecar =
            |env: &str| right.replace(r#""containers":["#, &format!(r#""containers":[{{"name":"log"{env}}},"#));
        let hidden = r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"void"}]"#;
        assert_eq!(found(&tenants, &sidecar(hidden)), None);
        for (case, pod, field) in [
            ("an image's word", sidecar(""), "spec.containers[0].env"),
            ("made before", right.replace(r#""spec":{"#, r#""spec":{"hostIPC":true,"#), "spec.hostIPC"),
            (
                "added later",
                right.replace(r#""spec":{"#, r#""spec":{"ephemeralContainers":[{"name":"d","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"}]}],"#),
                "spec.ephemeralContainers[0].env[0]",
            ),
        ] {
            let breach = found(&tenants, &pod).unwrap();
            assert_eq!((breach.kind, &*breach.field), (ViolationKind::NotIsolated, field), "{case}");
            assert_eq!(found(&policies("multi-tenant"), &pod), None, "{case}: nobody asked for isolation");
        }
    }

    /// What 30,000 pods cost: the sizes here and what they point to, about a kilobyte for a usual pod.
    #[test]
    fn what_is_kept_of_a_pod_is_small() {
        use crate::inventory::PodRecord;
        assert!(size_of::<PodRecord>() <= 136, "{}", size_of::<PodRecord>());
        assert!(size_of::<PodSummary>() <= 168, "{}", size_of::<PodSummary>());
    }
}
