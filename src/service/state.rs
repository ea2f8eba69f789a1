//! The state that requests read: policies, the cluster, and the pods that violate their policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use jiff::Timestamp;
use serde::Serialize;

use crate::server::endpoints::NotReady;
use apportion_core::decision::{Violation, ViolationKind};
use apportion_core::inventory::Inventory;
use apportion_core::policy::PolicySet;

/// Policies and cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The policies of files and of the cluster.
    pub policies: Arc<PolicySet>,
    /// The cluster; `None` until every required list is complete.
    pub inventory: Option<Arc<Inventory>>,
    /// The resources whose first list is missing, such as `nodes, pods (connection refused)`.
    pub unlisted: Option<String>,
    /// Pods that violate their policy; `None` where pods are not scanned.
    pub violations: Option<Violations>,
}

impl State {
    /// The inventory, if requests can be answered.
    pub fn readiness(&self) -> Result<&Inventory, NotReady> {
        self.inventory.as_deref().ok_or_else(|| match &self.unlisted {
            Some(resources) => NotReady::Unlisted(resources.clone()),
            None => NotReady::NoCluster,
        })
    }
}

/// A pod that violates its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodViolation {
    /// The pod's UID: its name may be reused.
    pub uid: Box<str>,
    /// The policy.
    pub policy: Box<str>,
    /// Field, reason and fix.
    pub violation: Violation,
    /// When the scanner first found it.
    pub since: Timestamp,
}

/// Violations by `namespace/name`. A clone shares what has not changed.
#[derive(Clone, Debug, Default)]
pub struct Violations(OrdMap<Box<str>, Arc<PodViolation>>);

impl Violations {
    /// The violation of a pod.
    pub fn get(&self, key: &str) -> Option<&PodViolation> {
        self.0.get(key).map(|violation| &**violation)
    }

    /// Adds or replaces a pod's violation.
    pub fn put(&mut self, key: &str, violation: PodViolation) {
        self.0.insert(key.into(), Arc::new(violation));
    }

    /// Removes a pod's violation. Returns whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    /// All violations, ordered by `namespace/name`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PodViolation)> {
        self.0.iter().map(|(key, violation)| (&**key, &**violation))
    }

    /// The number of violations by policy and kind.
    pub fn counts(&self) -> BTreeMap<(&str, ViolationKind), u64> {
        let mut counts = BTreeMap::new();
        for (_, pod) in self.iter() {
            *counts.entry((&*pod.policy, pod.violation.kind)).or_default() += 1;
        }
        counts
    }

    /// The body of `GET /breaches`.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Row<'s> {
            namespace: &'s str,
            pod: &'s str,
            policy: &'s str,
            kind: &'static str,
            field: &'s str,
            reason: &'s str,
            hint: &'s str,
            since: String,
        }
        let rows: Vec<Row<'_>> = self
            .iter()
            .map(|(key, violation)| {
                let (namespace, pod) = key.split_once('/').unwrap_or_default();
                let Violation {
                    kind,
                    field,
                    reason,
                    hint,
                } = &violation.violation;
                Row {
                    namespace,
                    pod,
                    policy: &violation.policy,
                    kind: kind.as_str(),
                    field,
                    reason,
                    hint,
                    since: violation.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                }
            })
            .collect();
        // Strings always serialize.
        serde_json::to_vec(&rows).unwrap_or_default()
    }
}
