//! Victims compared with every possible set of victims.

use apportion_core::extender::AnswerSize;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{preempted, preemption_args, shares, slices, terminating, world};
use crate::fixtures::{args, on};
use crate::rows::declaring_memory;

#[derive(Clone, Debug)]
struct Resident {
    namespace: &'static str,
    priority: i32,
    shares: u64,
    memory: u64,
    leaving: bool,
}

fn resident() -> impl Strategy<Value = Resident> {
    let namespaces = prop::sample::select(vec!["lab", "other-lab", "apart", "calm", "declared", "free"]);
    (namespaces, 0..5i32, 1..4u64, 0..12u64, prop::bool::weighted(0.2)).prop_map(
        |(namespace, priority, shares, memory, leaving)| Resident {
            namespace,
            priority,
            shares,
            memory,
            leaving,
        },
    )
}

fn there(at: usize, resident: &Resident) -> Value {
    let pod = on(
        shares(
            resident.namespace,
            &format!("r{at}"),
            resident.priority,
            resident.shares,
        ),
        "a",
    );
    let pod = declaring_memory(pod, &format!("{}Gi", resident.memory));
    if resident.leaving { terminating(pod) } else { pod }
}

/// The order in which pods are kept.
fn keep_order(at: usize, resident: &Resident) -> (bool, i32, u64, String) {
    let name = format!("{}/r{at}", resident.namespace);
    (resident.leaving, -resident.priority, resident.shares, name)
}

fn fits(residents: &[Resident], stay: impl Fn(usize) -> bool, pod: &Value) -> bool {
    let staying = residents.iter().enumerate().filter(|(at, _)| stay(*at));
    let pods: Vec<Value> = staying.map(|(at, resident)| there(at, resident)).collect();
    let world = world(&[slices("a")], &pods);
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    world.filter(&args(namespace, pod, &["a"]), AnswerSize::All)["NodeNames"] == json!(["a"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Compared with all subsets: the pod fits after the preemption, all victims have a lower
    /// priority, none can be spared, and no other set spares pods of higher priority.
    #[test]
    fn victims_are_minimal_and_the_least_important(
        residents in prop::collection::vec(resident(), 1..7),
        namespace in prop::sample::select(vec!["lab", "apart", "calm", "declared"]),
        (priority, count) in (0..6i32, 1..6u64),
        given in 0..3usize,
    ) {
        let pod = declaring_memory(shares(namespace, "p", priority, count), "2Gi");
        let given = (0..residents.len()).find(|at| *at == given && residents[*at].priority < priority);
        let name = given.map_or("unseen".to_owned(), |at| format!("r{at}"));
        let pods: Vec<Value> = residents.iter().enumerate().map(|(at, resident)| there(at, resident)).collect();
        let shown = preempted(&world(&[slices("a")], &pods), &preemption_args(&pod, &[("a", &[&name])]));

        let mut order: Vec<usize> = (0..residents.len())
            .filter(|at| residents[*at].priority < priority && Some(*at) != given)
            .collect();
        order.sort_by_key(|at| keep_order(*at, &residents[*at]));
        // All subsets of possible victims. The highest bit is the pod of the highest priority, so
        // the lowest number spares it.
        let best = (0..1u32 << order.len()).find(|set| {
            let goes = |at: usize| {
                let rank = order.iter().position(|other| *other == at);
                rank.is_some_and(|rank| set >> (order.len() - 1 - rank) & 1 == 1) || Some(at) == given
            };
            fits(&residents, |at| !goes(at), &pod)
        });
        let expected = best.map(|set| {
            let goes = |rank: &usize| set >> (order.len() - 1 - rank) & 1 == 1;
            let mut uids: Vec<String> = (0..order.len()).filter(goes).map(|rank| format!("r{}", order[rank])).collect();
            uids.push(name.clone());
            uids.sort();
            uids
        });
        let answered = shown.strip_prefix("a: ").map(|uids| {
            let mut uids: Vec<String> = uids.split(' ').map(str::to_owned).collect();
            uids.sort();
            uids
        });
        prop_assert_eq!(answered, expected, "{:?}", residents);
    }
}
