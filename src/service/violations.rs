//! Pods that were found to break their policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use jiff::Timestamp;
use serde::Serialize;

use apportion_core::decision::{Violation, ViolationKind};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodViolation {
    /// The pod, whatever its name may be used for later.
    pub uid: Box<str>,
    /// The policy that it breaks.
    pub policy: Box<str>,
    /// How.
    pub breach: Violation,
    /// Since when we know.
    pub since: Timestamp,
}

/// All of them, by `namespace/name`. A copy shares what did not change.
#[derive(Clone, Debug, Default)]
pub struct Violations(OrdMap<Box<str>, Arc<PodViolation>>);

impl Violations {
    /// The one of that pod.
    pub fn get(&self, key: &str) -> Option<&PodViolation> {
        self.0.get(key).map(|sighting| &**sighting)
    }

    /// Adds one, or replaces it.
    pub fn put(&mut self, key: &str, sighting: PodViolation) {
        self.0.insert(key.into(), Arc::new(sighting));
    }

    /// Takes one away. Returns whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    /// Every pod, by `namespace/name`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PodViolation)> {
        self.0.iter().map(|(key, sighting)| (&**key, &**sighting))
    }

    /// How many there are of each kind under each policy.
    pub fn counts(&self) -> BTreeMap<(&str, ViolationKind), u64> {
        let mut counts = BTreeMap::new();
        for (_, sighting) in self.iter() {
            *counts.entry((&*sighting.policy, sighting.breach.kind)).or_default() += 1;
        }
        counts
    }

    /// The listing, as JSON.
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
            .map(|(key, sighting)| {
                let (namespace, pod) = key.split_once('/').unwrap_or_default();
                let Violation {
                    kind,
                    field,
                    reason,
                    hint,
                } = &sighting.breach;
                Row {
                    namespace,
                    pod,
                    policy: &sighting.policy,
                    kind: kind.as_str(),
                    field,
                    reason,
                    hint,
                    since: sighting.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                }
            })
            .collect();
        // Strings always serialize.
        serde_json::to_vec(&rows).unwrap_or_default()
    }
}
