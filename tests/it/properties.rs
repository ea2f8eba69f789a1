//! Properties that hold for every pod, policy and cluster.

use std::collections::BTreeSet;

use apportion_core::admission::AdmissionOutcome;
use apportion_core::decision::find_violation;
use apportion_core::extender::AnswerSize;
use apportion_core::gpu::Strategy as Sharing;
use apportion_core::inventory::PodSummary;
use apportion_core::policy::SharingRule;
use apportion_core::policy::{Mode, Policy};
use apportion_testing::set;
use proptest::prelude::*;
use proptest::test_runner::{Config, FailurePersistence};
use serde_json::{Value, json};

use super::fixtures::{Answer, review};
use super::generators::{Case, case, case_under, forged_decision};
use super::oracle::{self, GpuRequest, container_ask, containers, count, is_gpu};
use super::patch_scope::{DECISION, HIDDEN, narrows, required, without_what_may_change};

/// 2048 cases; set `PROPTEST_CASES` for more or fewer.
pub fn config() -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2048;
    }
    // A failing case becomes a row of a table instead.
    config.failure_persistence = None::<Box<dyn FailurePersistence>>;
    config
}

/// The answer to the pod of a case, with the first population.
pub fn admit(case: &Case) -> Answer {
    case.world(0).admit(case.namespace, &case.pod)
}

/// The policy that governs the pod, if it enforces and admits it.
pub fn enforced<'c>(case: &'c Case, answer: &Answer) -> Option<&'c Policy> {
    let policy = case
        .policies
        .iter()
        .find(|policy| Some(policy.name.as_str()) == answer.policy.as_deref())?;
    (policy.mode == Mode::Enforce && answer.denial.is_none()).then_some(policy)
}

/// Whether the pod has preferences among nodes.
fn prefers(pod: &Value) -> bool {
    let text = pod["spec"].to_string();
    text.contains("preferredDuringScheduling") || text.contains("ScheduleAnyway")
}

/// The memory that the pod declares, in MiB, in the forms that the generator uses.
pub fn declared_memory(pod: &Value) -> Option<u64> {
    match pod["metadata"]["annotations"]["apportion.dev/gpu-memory"].as_str()? {
        "4G" => Some(3815),
        "1Ti" => Some(1024 * 1024),
        text => text
            .strip_suffix("Gi")
            .map_or(Some(0), |gi| gi.parse().ok())
            .map(|gi: u64| gi * 1024),
    }
}

/// Whether a rule allows a resource name for a container, including the affinity that tells it from
/// others of that name.
fn is_meant(rule: &SharingRule, resource: &str, asked: &GpuRequest, pod: &Value) -> bool {
    let pins = |key: &str, holds: &dyn Fn(&str) -> bool| {
        oracle::values_left(pod, key)
            .is_some_and(|alternatives| alternatives.iter().flatten().all(|value| holds(value)))
    };
    let sharing = |strategy: &'static str| pins("nvidia.com/gpu.sharing-strategy", &move |value| value == strategy);
    let profiles: Vec<String> = rule
        .profiles
        .iter()
        .map(|profile| profile.to_string().replace('+', "."))
        .collect();
    match (rule.strategy, resource) {
        (Sharing::Exclusive, "nvidia.com/gpu") => sharing("none"),
        (Sharing::Mig, "nvidia.com/gpu") => {
            let pinned = |product: &str| {
                product
                    .split_once("-MIG-")
                    .is_some_and(|(_, profile)| profiles.iter().any(|p| p == profile))
            };
            sharing("none") && pins("nvidia.com/gpu.product", &pinned)
        }
        (Sharing::Mig, _) => resource
            .strip_prefix("nvidia.com/mig-")
            .is_some_and(|profile| profiles.iter().any(|p| p == profile)),
        (Sharing::Mps | Sharing::TimeSlicing, "nvidia.com/gpu" | "nvidia.com/gpu.shared") => {
            sharing(rule.strategy.as_str())
        }
        (Sharing::TimeSlicing, _) => resource.ends_with(".shared") && asked.contains_key(resource),
        _ => false,
    }
}

/// The GPU resources after the rewrite, of each container that requested some before.
fn given<'p>(before: &'p Value, after: &'p Value) -> impl Iterator<Item = (GpuRequest, &'p Value)> {
    containers(before)
        .zip(containers(after))
        .filter_map(|((.., was), (.., is))| {
            let asked = container_ask(was);
            (!asked.is_empty()).then_some((asked, is))
        })
}

fn used_on(others: &[Value], node: &str) -> GpuRequest {
    let mut used = GpuRequest::new();
    for pod in others.iter().filter(|pod| pod["spec"]["nodeName"] == node) {
        for (resource, n) in oracle::effective(pod) {
            *used.entry(resource).or_default() += n;
        }
    }
    used
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_second_pass_changes_nothing(case in case()) {
        let first = admit(&case);
        let again = case.world(0).admit(case.namespace, &first.pod);
        prop_assert!(!again.patched, "{}", again.pod);
        // Nor does it after other pods have come and gone.
        let later = case.world(1).admit(case.namespace, &first.pod);
        prop_assert!(!later.patched, "{}", later.pod);
        if enforced(&case, &first).is_some() {
            prop_assert_eq!(later.outcome, AdmissionOutcome::Unchanged);
            prop_assert_eq!((later.strategy, later.pending_admission), (first.strategy, None));
        }
    }

    #[test]
    fn a_rewrite_changes_only_what_it_documents(case in case()) {
        let after = admit(&case).pod;
        let rest = |pod| without_what_may_change(pod, &case.pod);
        prop_assert_eq!(rest(&case.pod), rest(&after));
        prop_assert!(narrows(required(&case.pod), required(&after)), "{}", after);
    }

    #[test]
    fn quantities_are_whole_and_requests_equal_limits(case in case()) {
        let answer = admit(&case);
        if answer.patched {
            for (_, container) in given(&case.pod, &answer.pod) {
                let list = |name: &str| container["resources"][name].as_object().cloned().unwrap_or_default();
                let (limits, requests) = (list("limits"), list("requests"));
                for (key, quantity) in limits.iter().chain(&requests).filter(|(key, _)| is_gpu(key)) {
                    prop_assert!(count(quantity).is_some_and(|n| n >= 1), "{} {}", key, quantity);
                    let both = limits.get(key).zip(requests.get(key));
                    prop_assert!(both.is_none_or(|(a, b)| count(a) == count(b)), "{}", container);
                }
            }
        }
    }

    #[test]
    fn a_governed_pod_requests_what_its_policy_allows(case in case()) {
        let answer = admit(&case);
        if let Some(policy) = enforced(&case, &answer) {
            // Sharing ignores a pod without GPUs.
            prop_assert_eq!(answer.strategy.is_none(), given(&case.pod, &answer.pod).next().is_none());
            let Some(strategy) = answer.strategy else { return Ok(()) };
            prop_assert!(policy.rules.iter().any(|rule| rule.sharing.strategy == strategy), "{}", strategy);
            for (asked, container) in given(&case.pod, &answer.pod) {
                let names: BTreeSet<&String> = ["limits", "requests"].iter()
                    .filter_map(|list| container["resources"][*list].as_object())
                    .flat_map(|list| list.keys().filter(|key| is_gpu(key))).collect();
                prop_assert_eq!(names.len(), 1, "{}", container);
                let name = names.into_iter().next().unwrap();
                let shares = matches!(strategy, Sharing::Mps | Sharing::TimeSlicing);
                prop_assert!(!shares || container_ask(container)[name] == 1, "more shares give no more compute: {}", container);
                let mut rules = policy.sharing_rules().filter(|rule| rule.strategy == strategy);
                prop_assert!(rules.any(|rule| is_meant(rule, name, &asked, &answer.pod)), "{} {}", name, answer.pod);
            }
        }
    }

    // Every container requests GPUs or hides them, unless the policy has no isolation.
    #[test]
    fn containers_without_gpus_see_none_under_isolation(case in case()) {
        let answer = admit(&case);
        let policy = enforced(&case, &answer);
        for ((.., was), (.., is)) in containers(&case.pod).zip(containers(&answer.pod)) {
            let env = is["env"].as_array().cloned().unwrap_or_default();
            let hidden = env.iter().any(|one| one["name"] == HIDDEN["name"] && one["value"] == HIDDEN["value"]);
            if policy.is_some_and(|policy| policy.isolation.hides_gpus()) {
                prop_assert!(!container_ask(was).is_empty() || hidden, "{}", is);
            }
            if policy.is_none_or(|policy| !policy.isolation.hides_gpus()) || !container_ask(was).is_empty() {
                prop_assert_eq!(&was["env"], &is["env"]);
            }
        }
        if policy.is_some_and(|policy| policy.isolation.is_enabled()) {
            let text = answer.pod.to_string();
            for bad in ["\"hostIPC\":true", "\"hostPID\":true", "\"nodeName\":", "/dev/nvidia", "\"privileged\":true", "\"value\":\"all\"", "nvidia.cdi.k8s.io"] {
                let harmless = bad.contains("nodeName") && given(&case.pod, &answer.pod).next().is_none();
                prop_assert!(harmless || !text.contains(bad), "{} in {}", bad, text);
            }
            for (_, container) in given(&case.pod, &answer.pod) {
                let sources = container["envFrom"].as_array().cloned().unwrap_or_default();
                prop_assert!(sources.iter().all(|source| source["prefix"] == "APP_"), "{}", container);
            }
        }
    }

    // The compliance scan never reports a pod that was admitted, whatever the nodes.
    #[test]
    fn an_admitted_pod_is_not_a_violation(case in case()) {
        let answer = admit(&case);
        if let Some(policy) = enforced(&case, &answer) {
            let text = answer.pod.to_string();
            let found = find_violation(&PodSummary::from_pod(&serde_json::from_str(&text).unwrap()), policy);
            prop_assert_eq!(found, None, "{}", text);
        }
    }

    #[test]
    fn the_decision_annotation_matches_the_pod(case in case(), forged in forged_decision()) {
        let first = admit(&case);
        if let Some(policy) = enforced(&case, &first) {
            // Also if another annotation was put on a pod that needs no other change.
            let tampered = set(first.pod.clone(), "/metadata/annotations/apportion.dev~1decision", json!(forged));
            for answer in [&first, &case.world(0).admit(case.namespace, &tampered)] {
                // An annotation on a pod without GPUs stays, because it is never read.
                let Some(strategy) = answer.strategy else { continue };
                let text = answer.pod["metadata"]["annotations"][DECISION].as_str().unwrap();
                let record: Value = serde_json::from_str(text).unwrap();
                prop_assert_eq!(&record["policy"], policy.name.as_str());
                prop_assert_eq!(&record["strategy"], strategy.as_str());
                let after: serde_json::Map<String, Value> = given(&case.pod, &answer.pod)
                    .map(|(_, container)| (container["name"].as_str().unwrap().to_owned(), json!(container_ask(container))))
                    .collect();
                prop_assert_eq!(&record["after"], &Value::Object(after));
            }
        }
    }

    #[test]
    fn other_objects_and_namespaces_pass_unchanged(case in case(), operation in prop::sample::select(vec!["UPDATE", "DELETE"]), resource in prop::sample::select(vec!["resize", "ephemeralcontainers", "eviction", "binding"])) {
        let world = case.world(0);
        for namespace in ["free", "kube-system", "apportion-system"] {
            let answer = world.admit(namespace, &case.pod);
            let governs = case.policies.iter().any(|p| p.namespaces.requirements.is_empty());
            prop_assert!(governs || !answer.patched && answer.outcome == AdmissionOutcome::Ungoverned, "{:?}", answer);
        }
        let created = set(review(case.namespace, &case.pod, false), "/request/oldObject", case.pod.clone());
        for (pointer, value) in [("/request/operation", operation), ("/request/subResource", resource), ("/request/kind/kind", "Deployment")] {
            let answer = world.admit_body(&set(created.clone(), pointer, json!(value)));
            prop_assert!(!answer.patched && answer.denial.is_none() && answer.pending_admission.is_none() && matches!(answer.outcome, AdmissionOutcome::Skipped | AdmissionOutcome::Advised | AdmissionOutcome::Ungoverned), "{:?}", answer);
        }
        let mirror = set(case.pod.clone(), "/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"}));
        let answer = world.admit(case.namespace, &mirror);
        prop_assert!(!answer.patched && answer.denial.is_none(), "{:?}", answer);
    }

    #[test]
    fn only_a_policy_in_mode_enforce_rewrites_or_denies(case in case()) {
        let answer = admit(&case);
        let mode = case.policies.iter().find(|p| Some(p.name.as_str()) == answer.policy.as_deref()).map(|p| p.mode);
        prop_assert!(mode.is_none_or(|mode| mode == Mode::Enforce) || !answer.patched && answer.denial.is_none(), "{:?}", answer);
        prop_assert!(mode != Some(Mode::Audit) || answer.warnings.is_empty());
        prop_assert!(answer.pending_admission.is_none() || answer.patched, "a pending admission without a patch");
    }

    #[test]
    fn the_filter_agrees_with_the_oracle(case in case(), rewritten in any::<bool>()) {
        let (world, answer) = (case.world(0), admit(&case));
        // Also the original pod, because another webhook may undo the rewrite.
        let pod = if rewritten { &answer.pod } else { &case.pod };
        if let Some(policy) = enforced(&case, &answer).filter(|_| answer.strategy.is_some()) {
            let all = world.filter_names(case.namespace, pod, &case.nodes, AnswerSize::All);
            let ask = oracle::effective(pod);
            for node in case.nodes.iter().filter(|node| all.contains(&node.name)) {
                let used = used_on(&case.others[0], &node.name);
                let verdict = oracle::can_hold(node, &used, &ask, declared_memory(pod), policy.sharing_rules());
                prop_assert!(verdict.is_ok(), "{} {} {:?}", node.name, verdict.unwrap_err(), node);
            }
            for most in 1..4 {
                let best = world.filter_names(case.namespace, pod, &case.nodes, AnswerSize::Best(most));
                prop_assert!(best.len() <= most && best.is_empty() == all.is_empty());
                prop_assert!(best.iter().all(|name| all.contains(name)));
                // The best node is in the answer, and the nodes in the answer score alike.
                let worth = |names: &[String]| world.scores(case.namespace, pod, names);
                let (good, best_of_all) = (worth(&best), worth(&all).into_iter().max());
                prop_assert_eq!(good.iter().copied().max(), best_of_all);
                if !prefers(pod) {
                    prop_assert!(good.iter().max() == good.iter().min(), "{:?}", good);
                }
            }
        }
    }

    // The pod spec alone, without the extender, keeps the pod off GPUs that are shared in another
    // way.
    #[test]
    fn in_tree_filters_alone_keep_a_rewritten_pod_to_its_strategy(case in case()) {
        let answer = admit(&case);
        if enforced(&case, &answer).is_some() {
            let ask: BTreeSet<String> = given(&case.pod, &answer.pod).flat_map(|(_, c)| container_ask(c).into_keys()).collect();
            for node in case.nodes.iter().filter(|node| oracle::selects(&answer.pod, node)) {
                for reading in ask.iter().filter_map(|resource| oracle::read(node, resource)) {
                    prop_assert_eq!(reading.strategy, answer.strategy.unwrap().as_str(), "{:?}", node);
                }
            }
        }
    }

    #[test]
    fn training_gets_whole_gpus(case in case_under(&[Sharing::Exclusive])) {
        let answer = admit(&case);
        prop_assert!(answer.strategy.is_none_or(|strategy| strategy == Sharing::Exclusive));
        let fit = case.world(0).filter_names(case.namespace, &answer.pod, &case.nodes, AnswerSize::All);
        for node in case.nodes.iter().filter(|node| fit.contains(&node.name) && !oracle::effective(&answer.pod).is_empty()) {
            let replicas = node.labels.get("nvidia.com/gpu.replicas").map_or(1, |n| n.parse().unwrap());
            prop_assert_eq!(replicas, 1u64, "{:?}", node);
        }
    }

    #[test]
    fn a_tenant_gets_only_mig(case in case_under(&[Sharing::Mig])) {
        let answer = admit(&case);
        prop_assert!(answer.strategy.is_none_or(|strategy| strategy == Sharing::Mig));
        if let Some(policy) = enforced(&case, &answer) {
            for (_, container) in given(&case.pod, &answer.pod) {
                let names = container_ask(container);
                let rule = policy.sharing_rules().next().unwrap();
                prop_assert!(names.keys().all(|name| is_meant(rule, name, &names, &answer.pod)), "{:?}", names);
            }
        }
    }
}
