//! `apportion node-groups`: rewritten pods fit node groups with the printed labels.

use apportion_core::decision::node_group::node_groups;
use apportion_core::k8s::Labels;
use apportion_core::k8s::{Pod, RequiredNodeAffinity};
use apportion_mig::product::Product;
use apportion_testing::{Node, a100, a100_mig_mixed, a100_mig_single, t4, t4_renamed, v100};
use serde_json::Value;

use super::command::apportion;
use super::fixtures::World;
use super::rows::gpu;

/// Each pod is rewritten for a cluster with one full node of a kind. It must fit an empty node
/// group of that kind.
#[test]
fn rewritten_pods_fit_a_node_group_with_the_printed_labels() {
    let mut seen = Vec::new();
    for (node, product) in [
        (a100(), "NVIDIA-A100-SXM4-80GB"),
        (a100_mig_mixed(), "NVIDIA-A100-SXM4-80GB"),
        (a100_mig_single(), "NVIDIA-A100-SXM4-80GB"),
        (t4_renamed("mps"), "Tesla-T4"),
        (t4("mps"), "Tesla-T4"),
        (t4_renamed("time-slicing"), "Tesla-T4"),
        (t4("time-slicing"), "Tesla-T4"),
        (v100(), "Tesla-V100-SXM2-16GB"),
    ] {
        let world = World::shipped(std::slice::from_ref(&node), &[]);
        for policy in world.policies.iter() {
            let name = policy.name.to_string();
            let answer = world.admit(&name, &gpu("1"));
            let text = answer.pod.to_string();
            let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
            let constraints = RequiredNodeAffinity::from_pod(&pod);
            let own: Labels = serde_json::from_value::<std::collections::BTreeMap<String, String>>(
                node.to_json()["metadata"]["labels"].clone(),
            )
            .unwrap()
            .into_iter()
            .collect();
            // If the pod does not wait for this node, it does not wait for its group.
            if !constraints.matches_node(&node.name, &own) || !asks(&answer.pod, &node) {
                continue;
            }
            let groups: Vec<_> = policy
                .sharing_rules()
                .filter(|rule| Some(rule.strategy) == answer.strategy)
                .flat_map(|rule| node_groups(rule, &Product::from(product)))
                .filter(|group| asks_for(&answer.pod, &group.resource.to_string()))
                .collect();
            let fitting = groups
                .iter()
                .filter(|group| {
                    let labels: Labels = group.labels.clone().into_iter().collect();
                    constraints.matches_node("new", &labels)
                })
                .count();
            assert_eq!(fitting, 1, "{} on {}: {groups:#?}\n{text}", name, node.name);
            // Without labels, a group is recognized only by a resource name that is unambiguous.
            let bare = constraints.matches_node("new", &Labels::default());
            let named = asks_for(&answer.pod, "nvidia.com/mig-1g.10gb") && name != "inference";
            assert_eq!(bare, named, "{} on {}", name, node.name);
            seen.push(format!("{}: {}", name, node.name));
        }
    }
    for policy in ["training", "multi-tenant", "development", "inference"] {
        assert!(
            seen.iter().filter(|name| name.starts_with(policy)).count() >= 1,
            "{policy}: {seen:?}"
        );
    }
}

fn asks_for(pod: &Value, resource: &str) -> bool {
    !pod["spec"]["containers"][0]["resources"]["limits"][resource].is_null()
}

fn asks(pod: &Value, node: &Node) -> bool {
    let json = node.to_json();
    let allocatable = json["status"]["allocatable"].as_object().unwrap();
    allocatable.keys().any(|name| asks_for(pod, name))
}

#[test]
fn labels_tags_and_templates_are_printed() {
    let run = apportion(&["node-groups", "--product", "Tesla-T4", "--count", "16"]);
    insta::assert_snapshot!(run.shown());
    let run = apportion(&["node-groups", "--product", "NVIDIA-H100-80GB-HBM3", "--output", "json"]);
    let groups: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    let of = |policy: &str| groups.iter().filter(|group| group["policy"] == policy).count();
    assert!(of("multi-tenant") > 1 && of("training") == 1, "{}", run.stdout);
    assert_eq!(run.status, 0);
}

#[test]
fn unknown_products_and_groups_that_no_policy_allows_are_reported() {
    let run = apportion(&["node-groups", "--product", "Tesla-T4-SHARED"]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr
            .contains("remove the suffix that sharing or MIG adds to the product's name"),
        "{}",
        run.stderr
    );
}
