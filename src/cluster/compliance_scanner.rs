//! Looks for pods that break their policy: those that came while the webhook was away, those that were there before their namespace was
//! governed, those whose policy has changed under them.
//!
//! Only what has changed is looked at, and no more than a thousand pods in one round: the writer has other things to do.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::notice::Notice;
use crate::service::{PodViolation, Violations};
use apportion_core::decision::{ViolationKind, breach};
use apportion_core::inventory::Ledger;
use apportion_core::policy::{Governed, PolicySet};

/// Pods that are looked at in one round: a millisecond where they are right, twenty where all of them break a long policy.
const ROUND: usize = 1024;

/// What was found, and what is still to be looked at.
#[derive(Debug, Default)]
pub struct ComplianceScanner {
    own_namespace: Option<String>,
    found: Violations,
    /// Pods to look at, by `namespace/name`.
    due: HashSet<Box<str>>,
    /// Namespaces whose pods are to be looked at.
    due_namespaces: HashSet<Box<str>>,
    /// Whether all pods are to be looked at once what is due has been.
    all_due: bool,
    /// Pods that are to be told of.
    untold: BTreeSet<Box<str>>,
    /// What has been told of each pod that is there, with its uid.
    told: HashMap<Box<str>, (Box<str>, Vec<ViolationKind>)>,
}

impl ComplianceScanner {
    /// One that passes over the pods of our own namespace.
    pub fn new(own_namespace: Option<String>) -> Self {
        ComplianceScanner {
            own_namespace,
            ..ComplianceScanner::default()
        }
    }

    /// A pod has changed, come or gone.
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

    /// What was found.
    pub fn found(&self) -> &Violations {
        &self.found
    }

    /// Looks at some of what is due. Returns how many breaches are new, or `None` when nothing has changed.
    pub fn round(&mut self, ledger: &Ledger, policies: &PolicySet, now: Timestamp) -> Option<u64> {
        self.gather(ledger);
        let keys: Vec<Box<str>> = self.due.iter().take(ROUND).cloned().collect();
        let mut changed = false;
        let mut new = 0;
        for key in keys {
            self.due.remove(&key);
            match self.look(&key, ledger, policies, now) {
                Some(is_new) => {
                    changed = true;
                    new += u64::from(is_new);
                }
                None => changed |= self.clear(&key, ledger),
            }
        }
        changed.then_some(new)
    }

    /// Turns what is due as a whole into pods. Policies that change all the time start no sweep before the last one is through.
    fn gather(&mut self, ledger: &Ledger) {
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

    /// Holds a pod against its policy and keeps what is found: whether that is new, or `None` when nothing is.
    fn look(&mut self, key: &str, ledger: &Ledger, policies: &PolicySet, now: Timestamp) -> Option<bool> {
        let record = ledger.pod(key)?;
        if self.own_namespace.as_deref() == Some(&*record.namespace) {
            return None;
        }
        let summary = &record.summary;
        let governed = ledger
            .inventory()
            .governing(policies, &record.namespace, &summary.labels);
        let Governed::By(policy) = governed else { return None };
        let breach = breach(summary, policy)?;
        let before = self.found.get(key);
        let known = before.filter(|before| before.uid == summary.uid && before.breach.kind == breach.kind);
        let since = known.map(|before| before.since);
        let sighting = PodViolation {
            uid: summary.uid.clone(),
            policy: policy.name.as_str().into(),
            breach,
            since: since.unwrap_or(now),
        };
        if before != Some(&sighting) {
            let kind = sighting.breach.kind;
            self.found.put(key, sighting);
            let told = self.told.get(key);
            if !told.is_some_and(|(uid, kinds)| *uid == summary.uid && kinds.contains(&kind)) {
                self.untold.insert(key.into());
            }
        }
        Some(since.is_none())
    }

    /// Forgets what was found of a pod, and of a pod that is gone what was told. Returns whether anything was.
    fn clear(&mut self, key: &str, ledger: &Ledger) -> bool {
        self.untold.remove(key);
        if ledger.pod(key).is_none() {
            self.told.remove(key);
        }
        self.found.remove(key)
    }

    /// Hands over what has not been told yet, as much as there is room for.
    pub fn tell(&mut self, notices: &Sender<Notice>) {
        while let Some(key) = self.untold.pop_first() {
            let Some(sighting) = self.found.get(&key) else { continue };
            match notices.try_send(Notice::of(&key, sighting)) {
                Ok(()) => {
                    let kind = sighting.breach.kind;
                    let (uid, kinds) = self.told.entry(key).or_default();
                    if *uid != sighting.uid {
                        (*uid, *kinds) = (sighting.uid.clone(), Vec::new());
                    }
                    kinds.push(kind);
                }
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                    self.untold.insert(key);
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
    use apportion_core::k8s::text::Labels;
    use apportion_core::policy::parse;

    fn set(strategy: &str) -> PolicySet {
        let text = format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: p}}\nspec: {{strategies: [{{strategy: {strategy}}}]}}\n"
        );
        PolicySet::new(parse::parse("t.yaml", &text).unwrap())
    }

    struct World {
        ledger: Ledger,
        patrol: ComplianceScanner,
        policies: PolicySet,
    }

    impl World {
        fn new() -> Self {
            let mut world = World {
                ledger: Ledger::default(),
                patrol: ComplianceScanner::new(Some("own".to_owned())),
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
            self.patrol.namespace_changed(namespace);
        }

        fn pod(&mut self, key: &str, uid: &str, shares: u64) {
            let (namespace, name) = key.split_once('/').unwrap();
            let json = format!(
                r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}","uid":"{uid}"}},"spec":{{"nodeSelector":{{"nvidia.com/gpu.sharing-strategy":"time-slicing"}},"containers":[{{"resources":{{"limits":{{"nvidia.com/gpu.shared":{shares}}}}}}}]}}}}"#
            );
            let record = PodRecord::of(&serde_json::from_str(&json).unwrap());
            self.ledger.put_pod(key, record);
            self.patrol.pod_changed(key);
        }

        /// New breaches, and who breaks what since when.
        fn round(&mut self, second: i64) -> (Option<u64>, Vec<String>) {
            let now = Timestamp::from_second(second).unwrap();
            let new = self.patrol.round(&self.ledger, &self.policies, now);
            let found = self.patrol.found().iter();
            let found = found.map(|(key, s)| format!("{key} {} {}", s.breach.kind.as_str(), s.since.as_second()));
            (new, found.collect())
        }

        fn told(&mut self) -> usize {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
            self.patrol.tell(&sender);
            std::iter::from_fn(|| receiver.try_recv().ok()).count()
        }
    }

    #[test]
    fn what_changes_is_looked_at_and_told_once() {
        let mut world = World::new();
        for key in ["a/right", "kube-system/x", "own/x", "b/x"] {
            world.pod(key, "u", if key == "a/right" { 1 } else { 4 });
        }
        assert_eq!(world.round(1), (None, vec![]));
        world.pod("a/wrong", "u1", 4);
        assert_eq!(world.round(2), (Some(1), vec!["a/wrong too_many_shares 2".to_owned()]));
        assert_eq!(world.told(), 1);
        // The same once more is nothing new.
        world.pod("a/wrong", "u1", 4);
        assert_eq!(world.round(3).1, ["a/wrong too_many_shares 2"]);
        assert_eq!(world.told(), 0);
        // Another pod of the name is.
        world.pod("a/wrong", "u2", 4);
        assert_eq!(world.round(4), (Some(1), vec!["a/wrong too_many_shares 4".to_owned()]));
        assert_eq!(world.told(), 1);
        // A namespace that is governed from now on.
        world.label("b", "p");
        assert_eq!(world.round(5).1, ["a/wrong too_many_shares 4", "b/x too_many_shares 5"]);
        // Another policy, and the first one again: what was told is not told again.
        world.policies = set("exclusive");
        world.patrol.policies_changed();
        assert_eq!(
            world.round(6).1,
            [
                "a/right forbidden_strategy 6",
                "a/wrong forbidden_strategy 6",
                "b/x forbidden_strategy 6"
            ]
        );
        assert_eq!((world.told(), world.told(), world.told()), (2, 1, 0));
        world.policies = set("time-slicing");
        world.patrol.policies_changed();
        assert_eq!(world.round(7).1, ["a/wrong too_many_shares 7", "b/x too_many_shares 7"]);
        assert_eq!(world.told(), 1, "of b/x alone");
        // The pod goes, and with it all that was known of it.
        world.ledger.put_pod("a/wrong", None);
        world.ledger.put_pod("b/x", None);
        world.patrol.pod_changed("a/wrong");
        world.patrol.policies_changed();
        assert_eq!(
            world.round(8).1,
            ["b/x too_many_shares 7"],
            "it is gone, and that is still to be reported"
        );
        world.patrol.pod_changed("b/x");
        assert_eq!(world.round(9), (Some(0), vec![]));
        let remembered: Vec<&str> = world.patrol.told.keys().map(|key| &**key).collect();
        assert!(
            remembered == ["a/right"] && world.patrol.untold.is_empty(),
            "{remembered:?}"
        );
    }

    #[test]
    fn a_large_cluster_takes_several_rounds() {
        let mut world = World::new();
        for at in 0..ROUND + 10 {
            world.pod(&format!("a/p{at}"), "u", 4);
        }
        assert_eq!(world.round(1).0, Some(ROUND as u64));
        assert_eq!(world.round(2).0, Some(10));
        assert_eq!(world.round(3).0, None);
    }
}
