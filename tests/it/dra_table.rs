//! Nodes whose GPUs DRA serves instead of a device plugin: the warnings of the webhook and the
//! answers of the filter.

use apportion_core::extender::AnswerSize;
use apportion_testing::{Node, a100};
use serde_json::{Value, json};

use super::fixtures::{NamespaceLabels, World, args, ledger, pod, shipped_policies};
use super::rows::{gpu, pod_on};

const POLICIES: [&str; 4] = ["training", "multi-tenant", "development", "inference"];
const WHOLE_GPU_LABELS: &str = "gpu.product=NVIDIA-A100-SXM4-80GB gpu.sharing-strategy=none gpu.memory=81920";

/// A cluster under the shipped policies, with device classes `c0`, `c1` and so on that serve these
/// resources.
fn world(nodes: &[Node], others: &[Value], served: &[&str]) -> World {
    let labels = POLICIES.map(|name| [("apportion.dev/policy", name)]);
    let namespaces: Vec<NamespaceLabels<'_>> = POLICIES.into_iter().zip(labels.iter().map(|l| &l[..])).collect();
    let mut ledger = ledger(nodes, others, &namespaces);
    for (at, name) in served.iter().enumerate() {
        ledger.put_device_class(&format!("c{at}"), Some(format!("nvidia.com/{name}").parse().unwrap()));
    }
    World::new(shipped_policies(), ledger)
}

/// A pod, the cluster it comes to, the webhook's warning and the filter's answer.
struct Row {
    name: &'static str,
    policy: &'static str,
    pod: Value,
    nodes: Vec<Node>,
    /// Pods on the nodes.
    others: Vec<Value>,
    /// Extended resources with a device class, without `nvidia.com/`.
    served: Vec<&'static str>,
    /// A part of a warning; empty for none about DRA.
    warning: &'static str,
    /// The nodes that fit, or why the first one does not.
    fit: Result<Vec<&'static str>, &'static str>,
}

/// A training pod that requests two GPUs, which a device class serves.
impl Default for Row {
    fn default() -> Self {
        Row {
            name: "",
            policy: "training",
            pod: gpu("2"),
            nodes: Vec::new(),
            others: Vec::new(),
            served: vec!["gpu"],
            warning: "",
            fit: Ok(Vec::new()),
        }
    }
}

#[test]
fn whole_gpus_with_labels_are_left_to_dra() {
    let dra = || Node::new("dra", WHOLE_GPU_LABELS, "");
    let bare = || Node::new("bare", "", "");
    let full = || pod_on("a100", "gpu", "8");
    let tenant = || pod(&[("mig-1g.10gb", "1")]);
    for row in [
        Row {
            name: "whole GPUs with labels are left to DRA",
            nodes: vec![dra()],
            warning: "nvidia.com/gpu is left to DRA (DeviceClass c0); what DRA has free is unknown",
            fit: Ok(vec!["dra"]),
            ..Row::default()
        },
        Row {
            name: "a node without a device class has no GPUs",
            nodes: vec![dra()],
            served: vec![],
            warning: "no node that the pod may run on offers nvidia.com/gpu (exclusive); the pod waits for one",
            fit: Err("no gpu"),
            ..Row::default()
        },
        Row {
            name: "a node without GPU labels is left out",
            nodes: vec![bare()],
            warning: "nvidia.com/gpu by DRA (DeviceClass c0) is used only on nodes labeled with matching whole GPUs",
            fit: Err("gpu served by DRA: no GPU labels"),
            ..Row::default()
        },
        Row {
            name: "free GPUs of a device plugin come without a warning",
            nodes: vec![a100(), dra()],
            fit: Ok(vec!["a100", "dra"]),
            ..Row::default()
        },
        Row {
            name: "DRA is used when all GPUs of the device plugin are taken",
            nodes: vec![a100(), dra()],
            others: vec![full()],
            warning: "nvidia.com/gpu by DRA (DeviceClass c0) is used only on nodes labeled with matching whole GPUs",
            fit: Ok(vec!["dra"]),
            ..Row::default()
        },
        Row {
            name: "a tenant's MIG device is never left to DRA",
            policy: "multi-tenant",
            pod: tenant(),
            nodes: vec![dra()],
            served: vec!["gpu", "mig-1g.10gb"],
            warning: "nvidia.com/mig-1g.10gb by DRA (DeviceClass c1) is not used: its isolation cannot be verified",
            fit: Err("mig-1g.10gb served by DRA: its isolation cannot be verified"),
            ..Row::default()
        },
    ] {
        let name = row.name;
        let names: Vec<&str> = row.nodes.iter().map(|node| &*node.name).collect();
        let world = world(&row.nodes, &row.others, &row.served);
        let admitted = world.admit(row.policy, &row.pod);
        assert_eq!(admitted.denial, None, "{name}");
        let warnings = &admitted.warnings;
        assert!(
            row.warning.is_empty() || warnings.iter().any(|warning| warning.contains(row.warning)),
            "{name}: {warnings:?}"
        );
        let mentions_dra = warnings.iter().any(|warning| warning.contains("DRA"));
        assert_eq!(mentions_dra, row.warning.contains("DRA"), "{name}: {warnings:?}");
        assert!(
            warnings.iter().all(|warning| warning.len() < 130),
            "{name}: {warnings:?}"
        );

        let answer = world.filter(&args(row.policy, &admitted.pod, &names), AnswerSize::All);
        let failed = &answer["FailedAndUnresolvableNodes"];
        match row.fit {
            Ok(fit) => assert_eq!(answer["NodeNames"], json!(fit), "{name}: {failed}"),
            Err(reason) => assert_eq!(failed[names[0]], reason, "{name}"),
        }

        // A second pass over the rewritten pod changes nothing.
        assert!(!world.admit(row.policy, &admitted.pod).patched, "{name}");
    }
}
