//! Nodes that DRA serves where no device plugin does: what the webhook says of them, and what the filter makes of them.

use apportion_core::extender::AnswerSize;
use apportion_testing::{Node, a100};
use serde_json::Value;

use super::fixtures::{World, args, ledger, pod, shipped_policies};
use super::rows::{gpu, pod_on};

const NAMES: [&str; 4] = ["training", "multi-tenant", "development", "inference"];
const WHOLE: &str = "gpu.product=NVIDIA-A100-SXM4-80GB gpu.sharing-strategy=none gpu.memory=81920";

/// The shipped policies on these nodes, and device classes `c0`, `c1` and so on that serve these names.
fn world(nodes: &[Node], others: &[Value], served: &[&str]) -> World {
    let labels = NAMES.map(|name| [("apportion.dev/policy", name)]);
    let namespaces: Vec<(&str, &[(&str, &str)])> = NAMES.into_iter().zip(labels.iter().map(|l| &l[..])).collect();
    let mut ledger = ledger(nodes, others, &namespaces);
    for (at, name) in served.iter().enumerate() {
        ledger.put_device_class(&format!("c{at}"), Some(format!("nvidia.com/{name}").parse().unwrap()));
    }
    World::new(shipped_policies(), ledger)
}

#[test]
fn what_is_left_to_dra_and_what_is_said() {
    let dra = || Node::new("dra", WHOLE, "");
    let bare = || Node::new("bare", "", "");
    let full = || pod_on("a100", "gpu", "8");
    let tenant = || pod(&[("mig-1g.10gb", "1")]);
    for (case, namespace, pod, nodes, others, served, warned, fit) in [
        (
            "whole GPUs that labels vouch for",
            "training",
            gpu("2"),
            vec![dra()],
            vec![],
            vec!["gpu"],
            "nvidia.com/gpu is left to DRA (DeviceClass c0); what is free there is not known here",
            Ok(vec!["dra"]),
        ),
        (
            "without a class the node has none",
            "training",
            gpu("2"),
            vec![dra()],
            vec![],
            vec![],
            "no node that the pod may run on offers nvidia.com/gpu (exclusive); the pod waits for one",
            Err("no gpu"),
        ),
        (
            "nobody vouches",
            "training",
            gpu("2"),
            vec![bare()],
            vec![],
            vec!["gpu"],
            "nvidia.com/gpu by DRA (DeviceClass c0) is taken only on nodes labelled as whole GPUs that fit",
            Err("gpu served by DRA: no GPU labels"),
        ),
        (
            "a plugin that has it free is what counts, and nothing is said",
            "training",
            gpu("2"),
            vec![a100(), dra()],
            vec![],
            vec!["gpu"],
            "",
            Ok(vec!["a100", "dra"]),
        ),
        (
            "all of the plugin's is taken",
            "training",
            gpu("2"),
            vec![a100(), dra()],
            vec![full()],
            vec!["gpu"],
            "nvidia.com/gpu by DRA (DeviceClass c0) is taken only on nodes labelled as whole GPUs that fit",
            Ok(vec!["dra"]),
        ),
        (
            "a tenant's partition is never DRA's to choose",
            "multi-tenant",
            tenant(),
            vec![dra()],
            vec![],
            vec!["gpu", "mig-1g.10gb"],
            "nvidia.com/mig-1g.10gb by DRA (DeviceClass c1) is passed over: its isolation can not be seen",
            Err("mig-1g.10gb served by DRA: its isolation can not be seen"),
        ),
    ] {
        let names: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
        let world = world(&nodes, &others, &served);
        let admitted = world.admit(namespace, &pod);
        assert_eq!(admitted.denial, None, "{case}");
        let said = admitted.warnings.iter().any(|warning| warning.contains(warned));
        assert!(said || warned.is_empty(), "{case}: {:?}", admitted.warnings);
        let dra = admitted.warnings.iter().any(|warning| warning.contains("DRA"));
        assert_eq!(dra, warned.contains("DRA"), "{case}: {:?}", admitted.warnings);
        assert!(
            admitted.warnings.iter().all(|warning| warning.len() < 130),
            "{case}: {:?}",
            admitted.warnings
        );

        let answer = world.filter(&args(namespace, &admitted.pod, &names), AnswerSize::All);
        let failed = &answer["FailedAndUnresolvableNodes"];
        match fit {
            Ok(fit) => assert_eq!(answer["NodeNames"], serde_json::json!(fit), "{case}: {failed}"),
            Err(why) => assert_eq!(failed[names[0]], why, "{case}"),
        }

        // A second pass over our own output changes nothing.
        assert!(!world.admit(namespace, &admitted.pod).patched, "{case}");
    }
}
