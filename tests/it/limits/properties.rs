//! The filter and the binding leave exactly the nodes that a second opinion leaves.

use std::time::Duration;

use apportion_core::extender::AnswerSize;
use apportion_core::extender::PodQuery;
use apportion_core::extender::bind::judge;
use apportion_core::inventory::{PodRecord, Purpose, Reservations};
use apportion_testing::{Node, set};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::oracle::{Party, allows, is_guest, party};
use crate::generators::{Case, case};
use crate::oracle::{self, PodQuery as NodeQuery};
use crate::properties::{admit, config, declared_memory, enforced};

fn namespace_of(pod: &Value) -> &str {
    pod["metadata"]["namespace"].as_str().unwrap()
}

/// Who is on a node.
fn on<'o>(case: &Case, others: impl IntoIterator<Item = &'o Value>, node: &str) -> Vec<Party> {
    let there = others.into_iter().filter(|pod| pod["spec"]["nodeName"] == node);
    there.map(|pod| party(&case.policies, namespace_of(pod), pod)).collect()
}

fn used(there: &[Party]) -> NodeQuery {
    let mut used = NodeQuery::new();
    for (resource, count) in there.iter().flat_map(|party| &party.ask) {
        *used.entry(resource.clone()).or_default() += count;
    }
    used
}

/// Where a pod declares memory and no label says how much a share has, names' promises differ; such nodes are not judged.
fn is_clear(node: &Node, pod: &Value) -> bool {
    let known = |resource: &String| oracle::read(node, resource).is_none_or(|reading| reading.memory.is_some());
    declared_memory(pod).is_none() || oracle::effective(pod).keys().all(known)
}

fn record(pod: &Value) -> Option<PodRecord> {
    PodRecord::of(&serde_json::from_str(&pod.to_string()).unwrap())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_filter_returns_exactly_what_limits_allow(case in case()) {
        let (world, answer) = (case.world(0), admit(&case));
        let known = case.namespace != "unseen" && case.namespace != "lost";
        let policy = enforced(&case, &answer).filter(|_| answer.strategy.is_some());
        let is_guest = known && is_guest(&case.policies, case.namespace, &answer.pod);
        if policy.is_some() || is_guest {
            let all = world.filter_names(case.namespace, &answer.pod, &case.nodes, AnswerSize::All);
            let pod_request = party(&case.policies, case.namespace, &answer.pod);
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

    // With the second population on its way: decided, and on no node yet.
    #[test]
    fn a_binding_is_judged_with_all_that_is_reserved(case in case()) {
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
        let pod_request = party(&case.policies, case.namespace, &pod);
        world.reserved = reservations.reserved().clone();
        let filtered = world.filter_names(case.namespace, &pod, &case.nodes, AnswerSize::All);
        for node in case.nodes.iter().filter(|node| is_clear(node, &pod)) {
            let there = on(&case, case.others[0].iter().chain(coming.iter().copied()), &node.name);
            let held = oracle::can_hold(node, &used(&there), &pod_request.ask, declared_memory(&pod), policy.sharing_rules());
            let verdict = held.and(allows(node, &there, &pod_request));
            let judged = judge(&own, &node.name, &world.extender(), &reservations);
            prop_assert_eq!(verdict.is_ok(), judged.is_ok(), "{:?} {:?} {:?} {:?}", verdict, judged, node, there);
            prop_assert_eq!(filtered.contains(&node.name), judged.is_ok(), "{}", node.name);
            // Its own reservation is not in its way.
            if let Ok(Some(pod_request)) = judged {
                reservations.reserve("self", &node.name, pod_request, Purpose::Binding, Duration::ZERO);
                prop_assert!(judge(&own, &node.name, &world.extender(), &reservations).is_ok());
                reservations.release("self", &node.name);
            }
        }
    }
}
