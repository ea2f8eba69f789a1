//! Finds pods that violate their policy: pods that were created while the webhook was away or
//! before their namespace was governed, and pods whose policy has changed.
//!
//! Only changes are scanned, at most a thousand pods at a time, because the writer has other work.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::events::PodEvent;
use crate::service::{PodViolation, Violations};
use apportion_core::decision::{ViolationKind, find_violation};
use apportion_core::inventory::Ledger;
use apportion_core::policy::{Governed, PolicySet};

/// Pods in one scan. That takes a millisecond if they comply, and twenty if all violate a long
/// policy.
const BATCH: usize = 1024;

/// The violations found, and the pods to scan.
#[derive(Debug, Default)]
pub struct ComplianceScanner {
    own_namespace: Option<String>,
    violations: Violations,
    /// Pods to scan, by `namespace/name`.
    due: HashSet<Box<str>>,
    /// Namespaces whose pods must be scanned.
    due_namespaces: HashSet<Box<str>>,
    /// Whether all pods must be scanned after those that are due.
    all_due: bool,
    /// Pods whose violation has no Event yet.
    unreported: BTreeSet<Box<str>>,
    /// The UID of each existing pod, and the kinds of violations that have an Event.
    reported: HashMap<Box<str>, (Box<str>, Vec<ViolationKind>)>,
}

impl ComplianceScanner {
    /// A scanner that skips our own namespace.
    pub fn new(own_namespace: Option<String>) -> Self {
        ComplianceScanner {
            own_namespace,
            ..ComplianceScanner::default()
        }
    }

    /// A pod was created, changed or deleted.
    pub fn pod_changed(&mut self, key: &str) {
        if !self.due.contains(key) {
            self.due.insert(key.into());
        }
    }

    /// The labels of a namespace have changed.
    pub fn namespace_changed(&mut self, name: &str) {
        self.due_namespaces.insert(name.into());
    }

    /// Policies have changed.
    pub fn policies_changed(&mut self) {
        self.all_due = true;
    }

    /// The violations found so far.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// Scans some of the due pods. Returns the number of new violations, or `None` if nothing
    /// changed.
    pub fn scan(&mut self, ledger: &Ledger, policies: &PolicySet, now: Timestamp) -> Option<u64> {
        self.expand(ledger);
        let keys: Vec<Box<str>> = self.due.iter().take(BATCH).cloned().collect();
        let mut changed = false;
        let mut new = 0;
        for key in keys {
            self.due.remove(&key);
            match self.check(&key, ledger, policies, now) {
                Some(is_new) => {
                    changed = true;
                    new += u64::from(is_new);
                }
                None => changed |= self.clear(&key, ledger),
            }
        }
        changed.then_some(new)
    }

    /// Replaces due namespaces, and all pods if they are due, by pods. A full scan starts only
    /// after the previous one, even if policies keep changing.
    fn expand(&mut self, ledger: &Ledger) {
        if self.all_due && self.due.is_empty() {
            self.all_due = false;
            self.due_namespaces.clear();
            self.due = ledger.pods().map(|(key, _)| key.into()).collect();
        }
        if !self.due_namespaces.is_empty() {
            let namespaces = std::mem::take(&mut self.due_namespaces);
            let in_them = ledger
                .pods()
                .filter(|(_, record)| namespaces.contains(&record.namespace));
            self.due.extend(in_them.map(|(key, _)| Box::from(key)));
        }
    }

    /// Checks a pod and stores its violation. Returns whether that is new, or `None` without one.
    fn check(&mut self, key: &str, ledger: &Ledger, policies: &PolicySet, now: Timestamp) -> Option<bool> {
        let record = ledger.pod(key)?;
        if self.own_namespace.as_deref() == Some(&*record.namespace) {
            return None;
        }
        let summary = &record.summary;
        let governed = ledger
            .inventory()
            .governing(policies, &record.namespace, &summary.labels);
        let Governed::By(policy) = governed else { return None };
        let violation = find_violation(summary, policy)?;
        let before = self.violations.get(key);
        let known = before.filter(|before| before.uid == summary.uid && before.violation.kind == violation.kind);
        let since = known.map(|before| before.since);
        let found = PodViolation {
            uid: summary.uid.clone(),
            policy: policy.name.as_str().into(),
            violation,
            since: since.unwrap_or(now),
        };
        if before != Some(&found) {
            let kind = found.violation.kind;
            self.violations.put(key, found);
            let reported = self.reported.get(key);
            if !reported.is_some_and(|(uid, kinds)| *uid == summary.uid && kinds.contains(&kind)) {
                self.unreported.insert(key.into());
            }
        }
        Some(since.is_none())
    }

    /// Forgets the violation of a pod, and the Events of a deleted pod. Returns whether there was a
    /// violation.
    fn clear(&mut self, key: &str, ledger: &Ledger) -> bool {
        self.unreported.remove(key);
        if ledger.pod(key).is_none() {
            self.reported.remove(key);
        }
        self.violations.remove(key)
    }

    /// Queues Events for new violations, as many as the queue takes.
    pub fn report(&mut self, events: &Sender<PodEvent>) {
        while let Some(key) = self.unreported.pop_first() {
            let Some(found) = self.violations.get(&key) else {
                continue;
            };
            match events.try_send(PodEvent::violation(&key, found)) {
                Ok(()) => {
                    let kind = found.violation.kind;
                    let (uid, kinds) = self.reported.entry(key).or_default();
                    if *uid != found.uid {
                        (*uid, *kinds) = (found.uid.clone(), Vec::new());
                    }
                    kinds.push(kind);
                }
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                    self.unreported.insert(key);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::inventory::PodRecord;
    use apportion_core::k8s::Labels;
    use apportion_core::policy::parse;

    fn set(strategy: &str) -> PolicySet {
        let text = format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: p}}\nspec: {{strategies: [{{strategy: {strategy}}}]}}\n"
        );
        PolicySet::new(parse::parse("t.yaml", &text).unwrap())
    }

    struct World {
        ledger: Ledger,
        scanner: ComplianceScanner,
        policies: PolicySet,
    }

    impl World {
        fn new() -> Self {
            let mut world = World {
                ledger: Ledger::default(),
                scanner: ComplianceScanner::new(Some("own".to_owned())),
                policies: set("time-slicing"),
            };
            for namespace in ["a", "own", "kube-system"] {
                world.label(namespace, "p");
            }
            world
        }

        fn label(&mut self, namespace: &str, policy: &str) {
            let labels = Labels::from_iter([("apportion.dev/policy", policy)]);
            self.ledger.put_namespace(namespace, labels);
            self.scanner.namespace_changed(namespace);
        }

        fn pod(&mut self, key: &str, uid: &str, shares: u64) {
            let (namespace, name) = key.split_once('/').unwrap();
            let json = format!(
                r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}","uid":"{uid}"}},"spec":{{"nodeSelector":{{"nvidia.com/gpu.sharing-strategy":"time-slicing"}},"containers":[{{"resources":{{"limits":{{"nvidia.com/gpu.shared":{shares}}}}}}}]}}}}"#
            );
            let record = PodRecord::from_pod(&serde_json::from_str(&json).unwrap());
            self.ledger.put_pod(key, record);
            self.scanner.pod_changed(key);
        }

        /// The number of new violations, and all violations.
        fn scan(&mut self, second: i64) -> (Option<u64>, Vec<String>) {
            let now = Timestamp::from_second(second).unwrap();
            let new = self.scanner.scan(&self.ledger, &self.policies, now);
            let found = self.scanner.violations().iter();
            let found = found.map(|(key, s)| format!("{key} {} {}", s.violation.kind.as_str(), s.since.as_second()));
            (new, found.collect())
        }

        fn report(&mut self) -> usize {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
            self.scanner.report(&sender);
            std::iter::from_fn(|| receiver.try_recv().ok()).count()
        }
    }

    #[test]
    fn changed_pods_are_scanned_and_reported_once() {
        let mut world = World::new();
        for key in ["a/right", "kube-system/x", "own/x", "b/x"] {
            world.pod(key, "u", if key == "a/right" { 1 } else { 4 });
        }
        assert_eq!(world.scan(1), (None, vec![]));
        world.pod("a/wrong", "u1", 4);
        assert_eq!(world.scan(2), (Some(1), vec!["a/wrong too_many_shares 2".to_owned()]));
        assert_eq!(world.report(), 1);
        // The same violation again is not new.
        world.pod("a/wrong", "u1", 4);
        assert_eq!(world.scan(3).1, ["a/wrong too_many_shares 2"]);
        assert_eq!(world.report(), 0);
        // Another pod of that name is.
        world.pod("a/wrong", "u2", 4);
        assert_eq!(world.scan(4), (Some(1), vec!["a/wrong too_many_shares 4".to_owned()]));
        assert_eq!(world.report(), 1);
        // A namespace becomes governed.
        world.label("b", "p");
        assert_eq!(world.scan(5).1, ["a/wrong too_many_shares 4", "b/x too_many_shares 5"]);
        // Another policy, then the first one again: earlier violations are not reported again.
        world.policies = set("exclusive");
        world.scanner.policies_changed();
        assert_eq!(
            world.scan(6).1,
            [
                "a/right forbidden_strategy 6",
                "a/wrong forbidden_strategy 6",
                "b/x forbidden_strategy 6"
            ]
        );
        assert_eq!((world.report(), world.report(), world.report()), (2, 1, 0));
        world.policies = set("time-slicing");
        world.scanner.policies_changed();
        assert_eq!(world.scan(7).1, ["a/wrong too_many_shares 7", "b/x too_many_shares 7"]);
        assert_eq!(world.report(), 1, "only for b/x");
        // A deleted pod is forgotten.
        world.ledger.put_pod("a/wrong", None);
        world.ledger.put_pod("b/x", None);
        world.scanner.pod_changed("a/wrong");
        world.scanner.policies_changed();
        assert_eq!(
            world.scan(8).1,
            ["b/x too_many_shares 7"],
            "b/x is deleted but not scanned yet"
        );
        world.scanner.pod_changed("b/x");
        assert_eq!(world.scan(9), (Some(0), vec![]));
        let remembered: Vec<&str> = world.scanner.reported.keys().map(|key| &**key).collect();
        assert!(
            remembered == ["a/right"] && world.scanner.unreported.is_empty(),
            "{remembered:?}"
        );
    }

    #[test]
    fn a_large_cluster_takes_several_scans() {
        let mut world = World::new();
        for at in 0..BATCH + 10 {
            world.pod(&format!("a/p{at}"), "u", 4);
        }
        assert_eq!(world.scan(1).0, Some(BATCH as u64));
        assert_eq!(world.scan(2).0, Some(10));
        assert_eq!(world.scan(3).0, None);
    }
}
