//! Generators of clusters, policies and pods.

mod nodes;
mod pods;

use std::num::NonZeroU32;

use apportion_core::diagnostics::Location;
use apportion_core::gpu::Strategy as Sharing;
use apportion_core::k8s::{LabelSelector, Operator, Requirement};
use apportion_core::policy::document::IsolationDocument;
use apportion_core::policy::isolation::Isolation;
use apportion_core::policy::model::Rule;
use apportion_core::policy::{Limits, MemoryLimit, SharingRule};
use apportion_core::policy::{Mode, Policy, PolicyName, PolicySet};
use apportion_mig::memory::MiB;
use apportion_mig::product::ProductPattern;
use apportion_testing::{Node, set};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::{collection::vec, option};
use serde_json::{Value, json};

use self::nodes::node;
pub use self::pods::forged_decision;
use self::pods::{other, pod};
use super::fixtures::{World, ledger};

const PROFILES: &[&str] = &[
    "1g.5gb",
    "1g.6gb",
    "1g.10gb",
    "1g.10gb+me",
    "2g.12gb",
    "2g.20gb",
    "3g.40gb",
];
const PRODUCTS: &[&str] = &["A100", "A100-SXM4", "H100", "A30", "T4", "V100"];
/// Namespaces with their labels. `unseen` is in no inventory.
pub const NAMESPACES: &[(&str, &[(&str, &str)])] = &[
    ("a", &[("apportion.dev/policy", "p0")]),
    ("b", &[("apportion.dev/policy", "p1"), ("team", "x")]),
    ("a2", &[("apportion.dev/policy", "p0"), ("tenant", "x")]),
    ("b2", &[("apportion.dev/policy", "p1"), ("team", "x"), ("tenant", "x")]),
    ("b3", &[("apportion.dev/policy", "p1"), ("tenant", "")]),
    ("free", &[]),
    ("lost", &[("apportion.dev/policy", "nobody")]),
    ("kube-system", &[("apportion.dev/policy", "p0")]),
];

/// A pod that is created in a cluster.
#[derive(Clone, Debug)]
pub struct Case {
    pub nodes: Vec<Node>,
    /// Two sets of running and waiting pods, to find out what depends on free counts.
    pub others: [Vec<Value>; 2],
    pub policies: Vec<Policy>,
    pub namespace: &'static str,
    pub pod: Value,
}

impl Case {
    /// The world with the first or the second set of pods.
    pub fn world(&self, population: usize) -> World {
        let ledger = ledger(&self.nodes, &self.others[population], NAMESPACES);
        World::new(PolicySet::new(self.policies.clone()), ledger)
    }
}

pub fn case() -> impl Strategy<Value = Case> {
    case_of(
        policies(),
        prop_oneof![8 => Just("a"), 3 => Just("b"), 2 => select(vec!["a2", "b2", "b3"]), 1 => select(vec!["free", "lost", "kube-system", "unseen"])],
    )
}

/// A case in namespace `a` with one policy that enforces these strategies on any products.
pub fn case_under(strategies: &'static [Sharing]) -> impl Strategy<Value = Case> {
    let rules = strategies
        .iter()
        .map(|strategy| rule(Just(*strategy)))
        .collect::<Vec<_>>();
    let policy = rules.prop_map(|rules| vec![policy("p0", Mode::Enforce, 0, rules)]);
    case_of(policy, Just("a"))
}

fn case_of(
    policies: impl Strategy<Value = Vec<Policy>>,
    namespace: impl Strategy<Value = &'static str>,
) -> impl Strategy<Value = Case> {
    let others = || vec((other(), 0..12usize), 0..6);
    (vec(node(), 0..8), others(), others(), policies, namespace, pod()).prop_map(
        |(nodes, first, second, policies, namespace, pod)| {
            let nodes: Vec<Node> = nodes
                .into_iter()
                .enumerate()
                .map(|(at, node)| node.named(format!("n{at}")))
                .collect();
            // Pods beyond the last node wait.
            let place = |others: Vec<(Value, usize)>| {
                let bound = |(pod, at): (Value, usize)| match nodes.get(at) {
                    Some(node) => set(pod, "/spec/nodeName", json!(node.name)),
                    None => pod,
                };
                others.into_iter().map(bound).collect()
            };
            Case {
                others: [place(first), place(second)],
                nodes,
                policies,
                namespace,
                pod,
            }
        },
    )
}

fn policy(name: &str, mode: Mode, priority: i32, rules: Vec<SharingRule>) -> Policy {
    let name = PolicyName::parse(name).unwrap();
    let location = Location::file("generated.yaml");
    Policy {
        namespaces: Policy::default_namespaces(&name),
        name,
        mode,
        pods: LabelSelector::default(),
        priority,
        limits: apportion_core::policy::Limits::default(),
        tenant_label: None,
        rules: rules
            .into_iter()
            .map(|sharing| Rule {
                profile_locations: vec![location.clone(); sharing.profiles.len()],
                product_locations: vec![location.clone(); sharing.products.len()],
                sharing,
                location: location.clone(),
            })
            .collect(),
        isolation: Isolation::default(),
        location,
    }
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let one = |name: &'static str| {
        let mode = prop_oneof![8 => Just(Mode::Enforce), 1 => Just(Mode::Warn), 1 => Just(Mode::Audit)];
        let selects = (option::weighted(0.1, Just("kind")), option::weighted(0.2, Just("team")));
        // Rules of one strategy differ only in products and profiles, where picking the wrong one
        // is easy.
        let alike = select(&Sharing::ALL[..]).prop_flat_map(|strategy| vec(rule(Just(strategy)), 2..4));
        let rules = prop_oneof![2 => vec(rule(select(&Sharing::ALL[..])), 1..4), 1 => alike];
        let limits = option::weighted(0.5, limits());
        (
            mode,
            0..2i32,
            rules,
            selects,
            option::weighted(0.4, isolation()),
            limits,
        )
            .prop_map(move |(mode, priority, rules, selects, isolation, limits)| {
                let has = |key: &str| LabelSelector {
                    requirements: vec![Requirement::new(key, Operator::Exists, std::iter::empty::<String>())],
                };
                let mut policy = policy(name, mode, priority, rules);
                policy.pods = selects.0.map(has).unwrap_or_default();
                policy.namespaces = selects.1.map_or(policy.namespaces, has);
                policy.isolation = isolation.unwrap_or_default();
                if let Some((limits, tenant_label)) = limits {
                    policy.limits = limits;
                    policy.tenant_label = tenant_label.map(Into::into);
                }
                policy
            })
    };
    (one("p0"), one("p1"), option::of(one("p2"))).prop_map(|(a, b, c)| [a, b].into_iter().chain(c).collect())
}

/// Limits and the tenant label.
fn limits() -> impl Strategy<Value = (Limits, Option<&'static str>)> {
    let memory = select(&MemoryLimit::ALL[..]);
    let assumed = select(vec![0u64, 0, 2048, 6000]);
    let label = option::of(Just("tenant"));
    (option::of(1..4u32), memory, assumed, any::<bool>(), label).prop_map(|(most, memory, assumed, apart, label)| {
        let limits = Limits {
            shares_per_gpu: most.and_then(NonZeroU32::new),
            memory,
            undeclared_memory: MiB(assumed),
            tenants_apart: apart,
        };
        (limits, label)
    })
}

fn isolation() -> impl Strategy<Value = Isolation> {
    let some = IsolationDocument {
        hide_gpus: Some(false),
        ..IsolationDocument::default()
    };
    let some = Isolation::read(&some).unwrap();
    prop_oneof![4 => Just(Isolation::all()), 1 => Just(some)]
}

fn rule(strategy: impl Strategy<Value = Sharing>) -> impl Strategy<Value = SharingRule> {
    let products = prop_oneof![2 => Just(Vec::new()), 1 => subsequence(PRODUCTS, 1..4)];
    // A policy may list profiles in any order.
    let profiles = subsequence(PROFILES, 1..5).prop_shuffle();
    (strategy, profiles, products).prop_map(|(strategy, profiles, products)| SharingRule {
        strategy,
        profiles: match strategy {
            Sharing::Mig => profiles.iter().map(|p| p.parse().unwrap()).collect(),
            _ => Vec::new(),
        },
        products: products.iter().map(|p| ProductPattern::parse(p).unwrap()).collect(),
    })
}
