//! Pods without a node, and what they wait for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::glob::Glob;
use super::picture::tenant_name;
use apportion_core::extender::pod_query::{ExtenderContext, PodQuery};
use apportion_core::inventory::{Inventory, PodEntry, Reserved, UnfitReason};
use apportion_core::policy::PolicySet;
use apportion_core::policy::governance::OnUnknown;

/// Reasons that are told of one pod.
const REASONS: usize = 3;

/// A pod without a node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Whose it is.
    pub tenant: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// What it asks for.
    pub demand: BTreeMap<String, u64>,
    /// Why the nodes that it may run on do not do, each with the number of nodes, the most telling first. Empty where one does: its
    /// scheduler has not got to it, or something else than GPUs keeps it.
    pub because: Vec<String>,
}

/// All waiting pods of these namespaces.
pub fn waiting(inventory: &Inventory, policies: &PolicySet, namespaces: &[Glob]) -> Vec<Waiting> {
    let reserved = Reserved::default();
    let context = ExtenderContext {
        policies,
        inventory,
        reserved: &reserved,
        on_unknown: OnUnknown::default(),
    };
    let pods = inventory.pods().map(|(_, pod)| pod);
    pods.filter(|pod| pod.node().is_none() && Glob::any(namespaces, &pod.record.namespace))
        .map(|pod| Waiting {
            tenant: tenant_name(&pod.terms.tenant),
            namespace: pod.record.namespace.to_string(),
            pod: pod.record.name.to_string(),
            demand: pod
                .record
                .demand
                .iter()
                .map(|(r, count)| (r.to_string(), count))
                .collect(),
            because: because(pod, inventory, &context),
        })
        .collect()
}

/// Pods of one namespace that wait for the same, for the same reasons.
#[derive(Debug)]
pub struct Queue<'w> {
    /// The first of them.
    pub first: &'w Waiting,
    /// How many they are.
    pub pods: usize,
}

impl Queue<'_> {
    /// Who they are.
    pub fn name(&self) -> String {
        let first = format!("{}/{}", self.first.namespace, self.first.pod);
        match self.pods {
            1 => first,
            2 => format!("{first} and another pod of {}", self.first.namespace),
            pods => format!("{first} and {} more pods of {}", pods - 1, self.first.namespace),
        }
    }

    /// What each asks for.
    pub fn demand(&self) -> String {
        let each = self.first.demand.iter().map(|(name, count)| format!("{name} {count}"));
        each.collect::<Vec<_>>().join(" + ")
    }

    /// Why they wait.
    pub fn reasons(&self) -> Vec<String> {
        match &self.first.because[..] {
            [] => vec!["a node would do; its scheduler has not placed it".to_owned()],
            reasons => reasons.to_vec(),
        }
    }
}

/// Waiting pods, those that are alike together.
pub fn queues(waiting: &[Waiting]) -> Vec<Queue<'_>> {
    let mut queues: Vec<Queue<'_>> = Vec::new();
    // By namespace, so that only the last few have to be looked at.
    for pod in waiting {
        let own = queues
            .iter_mut()
            .rev()
            .take_while(|queue| queue.first.namespace == pod.namespace);
        let mut alike = own.filter(|queue| queue.first.demand == pod.demand && queue.first.because == pod.because);
        match alike.next() {
            Some(queue) => queue.pods += 1,
            None => queues.push(Queue { first: pod, pods: 1 }),
        }
    }
    queues
}

fn because(pod: &PodEntry, inventory: &Inventory, context: &ExtenderContext<'_>) -> Vec<String> {
    let ask = PodQuery::of_record(&pod.record, context);
    if let PodQuery::Refuse(reason) = ask {
        return vec![reason];
    }
    let mut unfit_reasons: BTreeMap<(bool, String), usize> = BTreeMap::new();
    for node in inventory.nodes() {
        // Nodes without GPUs lack everything, and say nothing.
        if node.offers.offers.is_empty() {
            continue;
        }
        let unfit_reason = if node.is_reachable(&pod.record.summary.scheduling) {
            match ask.check(Some(node)).err().or_else(|| too_few(pod, node)) {
                Some(unfit_reason) => (!unfit_reason.eviction_helps(), unfit_reason.to_string()),
                None => return Vec::new(),
            }
        } else {
            (true, "closed, tainted, or not what it selects".to_owned())
        };
        *unfit_reasons.entry(unfit_reason).or_default() += 1;
    }
    if unfit_reasons.is_empty() {
        return vec!["no node has GPUs".to_owned()];
    }
    let told = unfit_reasons.into_iter().take(REASONS);
    told.map(|((_, reason), nodes)| {
        let s = if nodes == 1 { "" } else { "s" };
        format!("{nodes} node{s}: {reason}")
    })
    .collect()
}

/// What the scheduler counts itself, of pods that no policy holds to anything.
fn too_few(pod: &PodEntry, node: &apportion_core::inventory::NodeEntry) -> Option<UnfitReason> {
    pod.record.demand.iter().find_map(|(resource, needs)| {
        let Some(offer) = node.offers.get(resource) else {
            return Some(UnfitReason::NoOffer(resource));
        };
        let free = node.free(offer);
        (free < needs).then_some(UnfitReason::Taken {
            resource,
            free,
            total: offer.total,
            needs,
        })
    })
}
