//! A small cluster, and the calls that a hostile pod can reach.

use apportion_core::admission::{AdmissionContext, admit, review};
use apportion_core::decision::find_violation;
use apportion_core::extender::{AnswerSize, ExtenderContext, filter, wire};
use apportion_core::inventory::{Ledger, NodeEntry, PendingAdmissions, PodRecord, Reserved};
use apportion_core::k8s::{Labels, Pod};
use apportion_core::policy::{OnUnknown, PolicySet, parse};
use apportion_testing::{Policy, a100, a100_mig_mixed, t4, t4_renamed};

/// A cluster with all ways to share, a namespace that allows all of them, and one that isolates.
pub(crate) struct Cluster {
    policies: PolicySet,
    ledger: Ledger,
}

pub(crate) const NODES: [&str; 4] = ["a100", "a100-mixed", "t4-mps", "t4-time-slicing"];

impl Cluster {
    pub(crate) fn new() -> Self {
        let specs = [
            (
                "mixed",
                "{strategies: [{strategy: mig, profiles: [1g.10gb, 2g.20gb]}, {strategy: mps, products: [T4]}, {strategy: time-slicing}, {strategy: exclusive}]}",
            ),
            (
                "isolated",
                "{strategies: [{strategy: exclusive}, {strategy: time-slicing}], isolation: {hideGpus: true, variables: Deny, envFrom: Deny, deviceAnnotations: Deny, privileged: Deny, hostPaths: Deny, hostNamespaces: Deny, nodeName: Deny}}",
            ),
        ];
        let policies = PolicySet::new(parse::parse("policies", &Policy::stream(specs)).unwrap());
        let mut ledger = Ledger::default();
        for namespace in ["mixed", "isolated"] {
            ledger.put_namespace(namespace, Labels::from_iter([("apportion.dev/policy", namespace)]));
        }
        let nodes = [a100(), a100_mig_mixed(), t4("mps"), t4_renamed("time-slicing")];
        for node in nodes {
            let text = node.to_string();
            ledger.put_node(NodeEntry::new(serde_json::from_str(&text).unwrap()));
        }
        Cluster { policies, ledger }
    }

    /// The answer of the webhook.
    pub(crate) fn admit(&self, body: &str) -> String {
        let request = review::read(body.as_bytes()).unwrap();
        let context = AdmissionContext {
            policies: &self.policies,
            inventory: self.ledger.inventory(),
            pending: &PendingAdmissions::default(),
            on_unknown: OnUnknown::Refuse,
            own_namespace: None,
            scheduler_name: Some("gpu-scheduler"),
        };
        String::from_utf8(admit(&request, &context).response.to_json("u")).unwrap()
    }

    /// The answer to the scheduler.
    pub(crate) fn filter(&self, body: &str) -> String {
        let args: wire::Args<'_> = serde_json::from_str(body).unwrap();
        let context = ExtenderContext {
            policies: &self.policies,
            inventory: self.ledger.inventory(),
            reserved: &Reserved::default(),
            on_unknown: OnUnknown::Refuse,
        };
        filter(&args, &context, AnswerSize::default(), |result| {
            serde_json::to_string(result).unwrap()
        })
    }

    /// The violation of a pod that arrives through the watch, if it has one.
    pub(crate) fn watch(&self, pod: &str) -> Option<String> {
        let pod: Pod<'_> = serde_json::from_str(pod).unwrap();
        let mut ledger = self.ledger.clone();
        ledger.put_pod("mixed/p", PodRecord::from_pod(&pod));
        let violation = find_violation(&ledger.pod("mixed/p")?.summary, self.policies.get("mixed")?)?;
        Some(format!("{}: {}; {}", violation.field, violation.reason, violation.hint))
    }
}

/// A review of the creation of a pod, or of its update if there is an old pod.
pub(crate) fn review_of(namespace: &str, pod: &str, old: Option<&str>) -> String {
    let (operation, old) = match old {
        Some(old) => ("UPDATE", old),
        None => ("CREATE", "null"),
    };
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","kind":{{"group":"","kind":"Pod"}},"resource":{{"group":"","resource":"pods"}},"namespace":"{namespace}","operation":"{operation}","object":{pod},"oldObject":{old}}}}}"#
    )
}

/// A filter call for a pod and all nodes.
pub(crate) fn filter_of(pod: &str) -> String {
    format!(
        r#"{{"Pod":{pod},"NodeNames":{}}}"#,
        serde_json::to_string(&NODES).unwrap()
    )
}
