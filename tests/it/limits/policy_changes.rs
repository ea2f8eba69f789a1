//! Labels, policies and nodes that change while pods run.

use std::sync::Arc;

use apportion_core::inventory::{Ledger, PendingAdmissions, Reserved};
use apportion_core::k8s::Labels;
use apportion_core::policy::OnUnknown;
use apportion_core::policy::PolicySet;
use apportion_testing::{Naming, Node};
use serde_json::Value;

use super::{NAMESPACES, all_policies, reason, share, shares, slices};
use crate::fixtures::{World, node_entry, pod_record};

/// A cluster that changes while its pods run.
struct Cluster {
    ledger: Ledger,
    policies: PolicySet,
}

impl Cluster {
    fn with(pods: &[Vec<Value>]) -> Self {
        let mut cluster = Cluster {
            ledger: Ledger::default(),
            policies: PolicySet::default(),
        };
        cluster.set_policies(all_policies());
        cluster.put_node(&slices());
        for (name, labels) in NAMESPACES {
            cluster.set_labels(name, labels);
        }
        for (at, pod) in pods.concat().iter().enumerate() {
            let namespace = pod["metadata"]["namespace"].as_str().unwrap();
            cluster.ledger.put_pod(&format!("{namespace}/{at}"), pod_record(pod));
        }
        cluster
    }

    fn set_policies(&mut self, policies: PolicySet) {
        self.ledger.set_policies(Arc::new(policies.clone()));
        self.policies = policies;
    }

    fn set_labels(&mut self, namespace: &str, labels: &[(&str, &str)]) {
        self.ledger
            .put_namespace(namespace, labels.iter().copied().collect::<Labels>());
    }

    fn put_node(&mut self, node: &Node) {
        self.ledger.put_node(node_entry(node));
    }

    fn reason(&self, namespace: &str, pod: &Value) -> String {
        let world = World {
            policies: self.policies.clone(),
            inventory: self.ledger.inventory().clone(),
            pending: PendingAdmissions::default(),
            reserved: Reserved::default(),
            on_unknown: OnUnknown::Refuse,
        };
        reason(&world, namespace, pod)
    }
}

#[test]
fn relabeling_a_namespace_changes_the_limits_of_its_running_pods() {
    let other_tenant = "GPUs shared with another tenant";
    let mut cluster = Cluster::with(&[shares(1, "blue1")]);
    assert_eq!(cluster.reason("red", &share()), other_tenant);
    cluster.set_labels("blue1", &[("apportion.dev/policy", "teams"), ("team", "red")]);
    assert_eq!(cluster.reason("red", &share()), "", "the pods belong to team red now");
    assert_eq!(cluster.reason("blue2", &share()), other_tenant);
    cluster.set_labels("blue1", &[("apportion.dev/policy", "free")]);
    assert_eq!(cluster.reason("free2", &share()), "", "the pods have no limits now");
    assert_eq!(cluster.reason("red", &share()), other_tenant, "team red still has");
    cluster.set_labels("blue1", &[("apportion.dev/policy", "nobody")]);
    assert_eq!(
        cluster.reason("free2", &share()),
        "",
        "a policy that does not exist has no limits"
    );
}

#[test]
fn changing_a_policy_changes_the_limits_of_its_running_pods() {
    let mut cluster = Cluster::with(&[shares(8, "two")]);
    let full = "8 of 8 shares of 4 GPUs taken, 1 needed";
    assert_eq!(cluster.reason("free", &share()), full);
    let changed = |from: &str, to: &str| {
        let known = all_policies();
        let changed = known.iter().map(|policy| {
            let mut policy = policy.clone();
            if policy.name.as_str() == from {
                policy.limits = known.get(to).unwrap().limits;
                policy.mode = known.get(to).unwrap().mode;
            }
            policy
        });
        PolicySet::new(changed.collect())
    };
    cluster.set_policies(changed("two", "three"));
    assert_eq!(cluster.reason("free", &share()), "");
    cluster.set_policies(changed("two", "alone"));
    assert_eq!(cluster.reason("free", &share()), "GPUs shared with another tenant");
    cluster.set_policies(changed("two", "watch"));
    assert_eq!(cluster.reason("free", &share()), "");
    cluster.set_policies(all_policies());
    assert_eq!(cluster.reason("free", &share()), full);
    cluster.set_policies(PolicySet::default());
    assert_eq!(
        cluster.reason("free", &share()),
        "",
        "without policies there are no limits"
    );
}

#[test]
fn changing_a_node_changes_the_shares_that_are_free() {
    let mut cluster = Cluster::with(&[shares(8, "two")]);
    let full = "8 of 8 shares of 4 GPUs taken, 1 needed";
    let node_with = |count, replicas| {
        Node::shared("Tesla-T4", (count, replicas), 15360, "time-slicing", Naming::Renamed).named("n")
    };
    cluster.put_node(&node_with(4, 8));
    assert_eq!(cluster.reason("free", &share()), full, "more replicas do not add GPUs");
    cluster.put_node(&node_with(6, 4));
    assert_eq!(cluster.reason("free", &share()), "", "more GPUs add shares");
    cluster.put_node(&node_with(2, 4));
    assert_eq!(cluster.reason("two", &share()), "0 of 8 gpu.shared free");
    let mut broken = node_with(4, 4);
    broken.allocatable.insert("nvidia.com/gpu.shared".to_owned(), 12);
    cluster.put_node(&broken);
    assert_eq!(
        cluster.reason("free", &share()),
        "8 of 6 shares of 3 GPUs taken, 1 needed",
        "the plugin withdraws the shares of a broken GPU"
    );
    cluster.ledger.remove_node("n");
    assert_eq!(cluster.reason("free", &share()), "not known to apportion yet");
    cluster.put_node(&node_with(4, 4));
    assert_eq!(cluster.reason("free", &share()), full, "its pods still count");
}
