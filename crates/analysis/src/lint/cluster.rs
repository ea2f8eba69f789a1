//! Compares policies with the namespaces and nodes of a cluster.

use super::limits;
use apportion_core::diagnostics::spelling;
use apportion_core::diagnostics::{Finding, Location};
use apportion_core::gpu::names::POLICY_LABEL;
use apportion_core::inventory::Inventory;
use apportion_core::k8s::LabelSource as _;
use apportion_core::k8s::Labels;
use apportion_core::policy::SharingRule;
use apportion_core::policy::is_exempt;
use apportion_core::policy::{Policy, PolicySet};

/// Checks policies against a cluster that was read from `file`. Returns findings about policies
/// ordered by location, then findings about namespaces and nodes.
pub fn lint_cluster(policies: &PolicySet, inventory: &Inventory, file: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = policies
        .iter()
        .flat_map(|policy| {
            let rules = unused_policy(policy, inventory)
                .into_iter()
                .chain(unserved_rules(policy, inventory));
            rules.chain(limits::lint(policy, inventory))
        })
        .collect();
    findings.sort_by(|a, b| a.location.cmp(&b.location));

    let about = |subject: String, message: String| Finding::warning(Location::file(file), subject, message);
    let mut namespaces: Vec<(&str, &Labels)> = inventory.namespaces().collect();
    namespaces.sort_unstable_by_key(|(name, _)| *name);
    for (name, labels) in namespaces {
        if let Some(message) = ineffective_label(name, labels, policies) {
            findings.push(about(format!("namespace {name}"), message));
        }
    }
    for node in inventory.nodes() {
        let subject = || format!("node {}", node.name);
        if let Some(pause) = &node.offers.reconfiguration {
            let message = format!("offers no GPUs: {pause}");
            findings.push(about(subject(), message));
        }
        for problem in &node.offers.problems {
            findings.push(about(subject(), problem.detail.clone()));
        }
    }
    findings
}

/// A policy that matches no namespace.
fn unused_policy(policy: &Policy, inventory: &Inventory) -> Option<Finding> {
    let governs = |(name, labels): (&str, &Labels)| !is_exempt(name) && policy.namespaces.matches(labels);
    if inventory.namespaces().any(governs) {
        return None;
    }
    let fix = if policy.namespaces == Policy::default_namespaces(&policy.name) {
        format!("label a namespace with {POLICY_LABEL}={}", policy.name)
    } else {
        "label a namespace to match, or widen the selector".to_owned()
    };
    let message = format!(
        "matches none of the cluster's {} namespaces; {fix}",
        inventory.namespaces().count()
    );
    Some(Finding::warning(
        policy.location.clone(),
        "spec.namespaceSelector",
        message,
    ))
}

/// Rules that no node can serve, even if all nodes were free and schedulable.
fn unserved_rules(policy: &Policy, inventory: &Inventory) -> Vec<Finding> {
    policy
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| !is_served(&rule.sharing, inventory))
        .map(|(index, rule)| {
            let message = format!("no node of the cluster offers this: {}", rule.sharing);
            Finding::warning(rule.location.clone(), format!("spec.strategies[{index}]"), message)
        })
        .collect()
}

fn is_served(rule: &SharingRule, inventory: &Inventory) -> bool {
    inventory
        .nodes()
        .flat_map(|node| &node.offers.offers)
        .any(|offer| offer.serves(rule, None).is_ok())
}

/// A policy label on a namespace that the policy does not govern.
fn ineffective_label(namespace: &str, labels: &Labels, policies: &PolicySet) -> Option<String> {
    let name = labels.label(POLICY_LABEL).filter(|name| !name.is_empty())?;
    if is_exempt(namespace) {
        return Some(format!(
            "is exempt from every policy, so its label {POLICY_LABEL}={name} has no effect"
        ));
    }
    let governing = policies
        .iter()
        .find(|policy| policy.namespaces.matches(labels))
        .map(|policy| policy.name.as_str());
    let Some(policy) = policies.get(name) else {
        let consequence = match governing {
            Some(governing) => format!("`{governing}` governs it by its namespaceSelector"),
            None => "GPU pods are rejected there".to_owned(),
        };
        let known = policies.iter().map(|policy| policy.name.as_str());
        let help = match spelling::nearest(name, known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the policies are {}", policies.names()),
        };
        return Some(format!(
            "label {POLICY_LABEL} is `{name}`, which names no policy, so {consequence}; {help}"
        ));
    };
    if policy.namespaces.matches(labels) {
        return None;
    }
    let consequence = governing.map_or_else(
        || "no policy governs it".to_owned(),
        |governing| format!("`{governing}` governs it"),
    );
    Some(format!(
        "label {POLICY_LABEL} is `{name}`, but that policy's namespaceSelector ({}) does not match it, so {consequence}",
        policy.location
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::inventory::dump;
    use apportion_core::policy::parse::parse;
    use apportion_testing::{Namespace, Naming, Node, Policy, set};
    use serde_json::{Value, json};

    fn found(policies: &[(&str, &str)], nodes: &[Node], namespaces: &[Namespace]) -> Vec<String> {
        let policies = PolicySet::new(parse("p.yaml", &Policy::stream(policies.iter().copied())).unwrap());
        let empty = Node::new("empty", "", "");
        let nodes = nodes
            .iter()
            .chain([&empty])
            .map(|node| set(node.to_json(), "/kind", "Node"));
        let namespaces = namespaces.iter().cloned().map(Value::from);
        let items: Vec<Value> = nodes.chain(namespaces).collect();
        let dump = json!({"kind": "List", "items": items}).to_string();
        lint_cluster(&policies, dump::read(&dump).unwrap().inventory(), "c.json")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    const MPS: &str = "{strategies: [{strategy: mps, products: [T4]}]}";

    /// A node with one T4 and four shares.
    fn t4(strategy: &str) -> Node {
        Node::shared("Tesla-T4", (1, 4), 15360, strategy, Naming::Renamed).named("t4")
    }

    fn serving() -> Namespace {
        Namespace::new("n").policy("serving")
    }

    #[test]
    fn a_cluster_that_matches_its_policies_has_no_findings() {
        let found = found(&[("serving", MPS)], &[t4("mps")], &[serving()]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn namespaces_and_policies_without_each_other_are_found() {
        let namespaces = [
            Namespace::new("kube-system").policy("serving"),
            Namespace::new("a").policy("servin"),
            Namespace::new("b").policy("team"),
        ];
        let team = "{namespaceSelector: {matchLabels: {team: x}}, strategies: [{strategy: mps, products: [T4]}]}";
        let found = found(&[("serving", MPS), ("team", team)], &[t4("mps")], &namespaces);
        let expected = [
            "p.yaml:3:18: warning: spec.namespaceSelector: matches none of the cluster's 3 namespaces; label a namespace with apportion.dev/policy=serving",
            "p.yaml:8:18: warning: spec.namespaceSelector: matches none of the cluster's 3 namespaces; label a namespace to match, or widen the selector",
            "c.json: warning: namespace a: label apportion.dev/policy is `servin`, which names no policy, so GPU pods are rejected there; did you mean serving?",
            "c.json: warning: namespace b: label apportion.dev/policy is `team`, but that policy's namespaceSelector (p.yaml:8:18) does not match it, so no policy governs it",
            "c.json: warning: namespace kube-system: is exempt from every policy, so its label apportion.dev/policy=serving has no effect",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn ineffective_and_excessive_limits_are_found() {
        let nodes = [t4("time-slicing")];
        let namespaces = [serving(), Namespace::new("kube-system").label("team", "x")];
        for (limits, expected) in [
            ("sharesPerGPU: 3", None),
            (
                "sharesPerGPU: 4",
                Some("spec.limits.sharesPerGPU: 4 has no effect: no GPU that the policy allows has more than 4 shares"),
            ),
            ("memory: Total, undeclaredMemory: 8Gi", None),
            (
                "memory: Total, undeclaredMemory: 16Gi",
                Some(
                    "spec.limits.undeclaredMemory: a pod without declared memory counts as 16Gi per share, but a GPU of node t4 has only 15Gi",
                ),
            ),
            ("memory: PerGPU, undeclaredMemory: 7Gi", None),
            (
                "memory: PerGPU, undeclaredMemory: 8Gi",
                Some(
                    "two pods without declared memory never share a GPU: each counts as 8Gi, and the largest GPU has 15Gi",
                ),
            ),
            ("tenants: Apart", None),
            ("tenants: Apart, tenantLabel: apportion.dev/policy", None),
            (
                "tenants: Apart, tenantLabel: team",
                Some(
                    "spec.limits.tenantLabel: no namespace of the policy has the label team, so each namespace is its own tenant",
                ),
            ),
        ] {
            let spec =
                format!("{{namespaceSelector: {{}}, limits: {{{limits}}}, strategies: [{{strategy: time-slicing}}]}}");
            let found = found(&[("serving", &spec)], &nodes, &namespaces);
            assert_eq!(found.len(), usize::from(expected.is_some()), "{limits}: {found:#?}");
            for (finding, expected) in found.iter().zip(expected) {
                assert!(finding.contains(expected), "{limits}: {finding}");
            }
        }
    }

    #[test]
    fn unserved_rules_and_unusable_nodes_are_found() {
        let bare = Node::new("bare", "mig.config.state=failed", "gpu=4");
        let spec = "{strategies: [{strategy: exclusive}, {strategy: mps, products: [T4]}]}";
        let found = found(&[("serving", spec)], &[t4("mps"), bare], &[serving()]);
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(
            found[0]
                .starts_with("p.yaml:4:21: warning: spec.strategies[0]: no node of the cluster offers this: exclusive"),
            "{found:#?}"
        );
        assert_eq!(
            found[1],
            "c.json: warning: node bare: offers no GPUs: MIG reconfiguration failed"
        );
        assert!(
            found[2].starts_with("c.json: warning: node bare: label nvidia.com/gpu.sharing-strategy is missing"),
            "{found:#?}"
        );
    }
}
