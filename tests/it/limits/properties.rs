//! The filter and the bind verb agree with the oracle about limits.

use std::time::Duration;

use apportion_core::extender::AnswerSize;
use apportion_core::extender::PodQuery;
use apportion_core::extender::bind::check_binding;
use apportion_core::inventory::{PodRecord, Purpose, Reservations};
use apportion_testing::{Node, set};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::oracle::{LimitedPod, allows, is_ungoverned, limited_pod};
use crate::generators::{Case, case};
use crate::oracle::{self, GpuRequest};
use crate::properties::{admit, config, declared_memory, enforced};

fn namespace_of(pod: &Value) -> &str {
    pod["metadata"]["namespace"].as_str().unwrap()
}

/// The pods on a node.
fn on<'o>(case: &Case, others: impl IntoIterator<Item = &'o Value>, node: &str) -> Vec<LimitedPod> {
    let there = others.into_iter().filter(|pod| pod["spec"]["nodeName"] == node);
    there
        .map(|pod| limited_pod(&case.policies, namespace_of(pod), pod))
        .collect()
}

fn used(there: &[LimitedPod]) -> GpuRequest {
    let mut used = GpuRequest::new();
    for (resource, count) in there.iter().flat_map(|pod| &pod.ask) {
        *used.entry(resource.clone()).or_default() += count;
    }
    used
}

/// Nodes are skipped if the pod declares memory and no label has the memory of a share: the oracle
/// and the product estimate it differently.
fn is_clear(node: &Node, pod: &Value) -> bool {
    let known = |resource: &String| oracle::read(node, resource).is_none_or(|reading| reading.memory.is_some());
    declared_memory(pod).is_none() || oracle::effective(pod).keys().all(known)
}

fn record(pod: &Value) -> Option<PodRecord> {
    PodRecord::from_pod(&serde_json::from_str(&pod.to_string()).unwrap())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_filter_leaves_exactly_the_nodes_that_limits_allow(case in case()) {
        let (world, answer) = (case.world(0), admit(&case));
        let known = case.namespace != "unseen" && case.namespace != "lost";
        let policy = enforced(&case, &answer).filter(|_| answer.strategy.is_some());
        let is_ungoverned = known && is_ungoverned(&case.policies, case.namespace, &answer.pod);
        if policy.is_some() || is_ungoverned {
            let all = world.filter_names(case.namespace, &answer.pod, &case.nodes, AnswerSize::All);
            let pod_request = limited_pod(&case.policies, case.namespace, &answer.pod);
            for node in case.nodes.iter().filter(|node| is_clear(node, &answer.pod)) {
                let there = on(&case, &case.others[0], &node.name);
                let mut verdict = allows(node, &there, &pod_request);
                if let Some(policy) = policy {
                    let memory = declared_memory(&answer.pod);
                    let held = oracle::can_hold(node, &used(&there), &pod_request.ask, memory, policy.sharing_rules());
                    verdict = held.and(verdict);
                }
                prop_assert_eq!(verdict.is_ok(), all.contains(&node.name), "{:?} {:?} {:?}", verdict, node, there);
            }
        }
    }

    // The second set of pods is reserved: decided, but on no node yet.
    #[test]
    fn bindings_count_all_reservations(case in case()) {
        let (mut world, answer) = (case.world(0), admit(&case));
        let Some(policy) = enforced(&case, &answer) else { return Ok(()) };
        let uid = set(answer.pod.clone(), "/metadata/uid", json!("self"));
        let pod = set(uid, "/metadata/namespace", json!(case.namespace));
        let Some(own) = record(&pod) else { return Ok(()) };
        let mut reservations = Reservations::default();
        let mut coming: Vec<&Value> = Vec::new();
        for (at, other) in case.others[1].iter().enumerate() {
            let Some(record) = record(other) else { continue };
            let ask = PodQuery::of_record(&record, &world.extender());
            if let (Some(pod_request), Some(node)) = (ask.pod_request(), other["spec"]["nodeName"].as_str()) {
                reservations.reserve(&at.to_string(), node, pod_request.clone(), Purpose::Binding, Duration::ZERO);
                coming.push(other);
            }
        }
        let pod_request = limited_pod(&case.policies, case.namespace, &pod);
        world.reserved = reservations.reserved().clone();
        let filtered = world.filter_names(case.namespace, &pod, &case.nodes, AnswerSize::All);
        for node in case.nodes.iter().filter(|node| is_clear(node, &pod)) {
            let there = on(&case, case.others[0].iter().chain(coming.iter().copied()), &node.name);
            let held = oracle::can_hold(node, &used(&there), &pod_request.ask, declared_memory(&pod), policy.sharing_rules());
            let verdict = held.and(allows(node, &there, &pod_request));
            let judged = check_binding(&own, &node.name, &world.extender(), &reservations);
            prop_assert_eq!(verdict.is_ok(), judged.is_ok(), "{:?} {:?} {:?} {:?}", verdict, judged, node, there);
            prop_assert_eq!(filtered.contains(&node.name), judged.is_ok(), "{}", node.name);
            // A pod's own reservation does not block it.
            if let Ok(Some(pod_request)) = judged {
                reservations.reserve("self", &node.name, pod_request, Purpose::Binding, Duration::ZERO);
                prop_assert!(check_binding(&own, &node.name, &world.extender(), &reservations).is_ok());
                reservations.release("self", &node.name);
            }
        }
    }
}
