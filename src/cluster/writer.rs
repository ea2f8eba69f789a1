//! The one who writes: takes in what happens in the cluster and publishes what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior};

use super::device_classes::Classes;
use super::kind::{Kind, Namespaces, Nodes, Pods, Policies};
use super::periodic_tasks::PeriodicTasks;
use super::policies::PolicyBook;
use super::quotas::{AllowanceChange, Told, told};
use super::watch::Change;
use super::watches::Watches;
use crate::service::{App, State};
use apportion_core::gpu::Counts;
use apportion_core::inventory::{Ledger, PodRecord};
use apportion_core::k8s::Text;
use apportion_core::policy::Policy;

/// How often what waiting pods await is found out anew. A hint may be this old.
const AWAITED_EVERY: Duration = Duration::from_millis(250);

/// Takes in changes and publishes states.
pub struct Writer {
    app: Arc<App>,
    ledger: Ledger,
    book: PolicyBook,
    /// Which kinds have been seen whole.
    whole: BTreeSet<&'static str>,
    /// Which kinds must have been, before anything is published.
    wanted: BTreeSet<&'static str>,
    /// Since when each broken watch is silent, and why.
    broken: BTreeMap<&'static str, (Instant, String)>,
    /// Kinds that we go on without.
    unwatched: BTreeSet<&'static str>,
    /// Whether something has changed since the last state.
    changed: bool,
    /// Pods that have come since what is awaited was found out last and wait, by `namespace/name`: their namespace and demand.
    arrived: BTreeMap<Box<str>, (Box<str>, Counts)>,
    /// Those before: with the next state they count in full.
    counted: Vec<(Box<str>, Counts)>,
    /// UIDs of pods that have come to their node, or are gone, since the last state.
    placed: Vec<Box<str>>,
    rounds: PeriodicTasks,
}

impl Writer {
    /// A writer for `app` that knows nothing of the cluster yet.
    pub fn new(app: Arc<App>, files: Vec<Policy>, rounds: PeriodicTasks) -> Self {
        let book = PolicyBook::of_files(files);
        let mut ledger = Ledger::default();
        ledger.set_policies(book.set());
        Writer {
            app,
            ledger,
            book,
            whole: BTreeSet::new(),
            wanted: BTreeSet::from(["nodes", "namespaces", "pods", "deviceclasses"]),
            broken: BTreeMap::new(),
            unwatched: BTreeSet::new(),
            changed: false,
            arrived: BTreeMap::new(),
            counted: Vec::new(),
            placed: Vec::new(),
            rounds,
        }
    }

    /// Writes for ever. `files` brings the policies of files when they change.
    pub async fn run(mut self, mut feed: Watches, mut files: Receiver<Vec<Policy>>) {
        if feed.policies.is_some() {
            self.wanted.insert("gpusharingpolicies");
        }
        let mut tick = tokio::time::interval(AWAITED_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(change) = feed.nodes.recv() => self.node(change),
                Some(change) = feed.namespaces.recv() => self.namespace(change),
                Some(change) = feed.pods.recv() => self.pod(change),
                Some(change) = feed.classes.recv() => self.device_class(change),
                Some(change) = next(&mut feed.policies) => self.policy(change),
                Some(change) = next(&mut feed.quotas) => self.quota(told(change)),
                Some(change) = next(&mut feed.ranges) => self.quota(told(change)),
                Some(policies) = files.recv() => self.files(policies),
                _ = tick.tick() => self.tick(),
                else => return,
            }
            // What else has come meanwhile is taken in before the next state is published: a burst costs one state, not one each.
            self.take_waiting(&mut feed);
            self.publish();
        }
    }

    /// What is due now and then.
    pub fn tick(&mut self) {
        self.changed |= self.ledger.refresh_awaited();
        if self.is_whole() {
            self.changed |= self.rounds.go(&self.ledger, &self.book, self.app.metrics_registry());
        }
        self.counted.extend(std::mem::take(&mut self.arrived).into_values());
        if self.is_whole() && self.broken.is_empty() {
            let now = self.app.now();
            self.app.reservations().expire(now);
        }
        let silent = self
            .broken
            .values()
            .map(|(since, _)| since.elapsed())
            .max()
            .unwrap_or_default();
        self.app.metrics_registry().cluster_stale(silent);
    }

    /// The policies of files have changed.
    pub fn files(&mut self, policies: Vec<Policy>) {
        self.book.set_files(policies);
        self.policies_changed();
    }

    fn policies_changed(&mut self) {
        self.ledger.set_policies(self.book.set());
        self.rounds.patrol.policies_changed();
        self.changed = true;
    }

    fn take_waiting(&mut self, feed: &mut Watches) {
        while let Ok(change) = feed.nodes.try_recv() {
            self.node(change);
        }
        while let Ok(change) = feed.namespaces.try_recv() {
            self.namespace(change);
        }
        while let Ok(change) = feed.pods.try_recv() {
            self.pod(change);
        }
    }

    /// A change of a node.
    pub fn node(&mut self, change: Change<Nodes>) {
        match change {
            Change::Put(_, node) => self.changed |= self.ledger.put_node(node),
            Change::Gone(name) => self.changed |= self.ledger.remove_node(&name),
            Change::Synced => drop(self.whole.insert("nodes")),
            Change::NotInstalled => return self.broke("nodes", "the API server does not know the kind"),
            Change::Broken(why) => return self.broke("nodes", &why),
        }
        self.heard("nodes");
    }

    /// A change of a namespace.
    pub fn namespace(&mut self, change: Change<Namespaces>) {
        match change {
            Change::Put(name, labels) => {
                if self.ledger.put_namespace(&name, labels) {
                    self.changed = true;
                    self.rounds.patrol.namespace_changed(&name);
                }
            }
            Change::Gone(name) => {
                self.changed |= self.ledger.remove_namespace(&name);
                self.rounds.patrol.namespace_changed(&name);
            }
            Change::Synced => drop(self.whole.insert("namespaces")),
            Change::NotInstalled => return self.broke("namespaces", "the API server does not know the kind"),
            Change::Broken(why) => return self.broke("namespaces", &why),
        }
        self.heard("namespaces");
    }

    /// A change of a pod.
    pub fn pod(&mut self, change: Change<Pods>) {
        match change {
            Change::Put(key, record) => self.put_pod(&key, record.map(|record| *record)),
            Change::Gone(key) => self.put_pod(&key, None),
            Change::Synced => drop(self.whole.insert("pods")),
            Change::NotInstalled => return self.broke("pods", "the API server does not know the kind"),
            Change::Broken(why) => return self.broke("pods", &why),
        }
        self.heard("pods");
    }

    fn put_pod(&mut self, key: &str, record: Option<PodRecord>) {
        if let Some(record) = record.as_ref().filter(|_| self.ledger.pod(key).is_none()) {
            let claimed = (record.namespace.clone(), record.demand.clone());
            self.arrived.insert(key.into(), claimed);
        }
        // On its node it counts there with the next state, and in what is awaited no more: its claim would make it count twice.
        if record.as_ref().is_none_or(PodRecord::is_on_a_node) {
            self.counted.extend(self.arrived.remove(key));
        }
        let (before, after) = (self.ledger.pod(key), record.as_ref());
        if after.is_none_or(PodRecord::is_on_a_node)
            && let Some(pod) = after.or(before)
        {
            self.placed.push(pod.summary.uid.clone());
        }
        let nomination = before.and_then(|pod| Some((pod.summary.uid.clone(), pod.nominated.clone()?)));
        if self.ledger.put_pod(key, record) {
            self.changed = true;
            self.rounds.patrol.pod_changed(key);
            self.follow_nomination(key, nomination);
        }
    }

    /// Keeps the room that the scheduler makes for a pod: it keeps others off what Kubernetes counts, and we off what it does not.
    fn follow_nomination(&self, key: &str, before: Option<(Box<str>, Box<Text<'static>>)>) {
        let pod = self.ledger.inventory().pod(key);
        let after = pod.and_then(|pod| Some((pod, pod.record.nominated.as_deref()?)));
        if before.is_none() && after.is_none() {
            return;
        }
        let now = self.app.now();
        let mut reservations = self.app.reservations();
        if let Some((uid, node)) = before {
            reservations.let_go(&uid, &node);
        }
        if let Some((pod, node)) = after {
            let priority = pod.record.priority;
            reservations.keep(&pod.record.summary.uid, node, pod.pod_request(), priority, now);
        }
    }

    fn policy(&mut self, change: Change<Policies>) {
        match change {
            Change::Put(name, object) => {
                if self.book.put(&name, object) {
                    self.policies_changed();
                }
            }
            Change::Gone(name) => {
                self.book.remove(&name);
                self.policies_changed();
            }
            Change::Synced => drop(self.whole.insert("gpusharingpolicies")),
            Change::NotInstalled => {
                if self.whole.insert("gpusharingpolicies") {
                    tracing::info!("GpuSharingPolicy is not installed in this cluster: policies of files govern alone");
                }
                return;
            }
            Change::Broken(why) => return self.broke("gpusharingpolicies", &why),
        }
        self.heard("gpusharingpolicies");
    }

    /// Where device classes can not be watched there are none to be left anything: we go on without, as strict as before there were any.
    pub fn device_class(&mut self, change: Change<Classes>) {
        let without = match change {
            Change::Put(name, resource) => {
                if self.ledger.put_device_class(&name, resource) {
                    self.changed = true;
                    if let Some(resource) = resource {
                        tracing::info!(class = name, %resource, "DRA serves this resource where no device plugin does");
                    }
                }
                return;
            }
            Change::Gone(name) => {
                self.changed |= self.ledger.put_device_class(&name, None);
                return;
            }
            Change::Synced => {
                self.unwatched.remove("deviceclasses");
                None
            }
            Change::NotInstalled => None,
            Change::Broken(why) => Some(why),
        };
        self.whole.insert("deviceclasses");
        if let Some(why) = without
            && self.unwatched.insert("deviceclasses")
        {
            tracing::warn!(
                resource = "deviceclasses",
                why,
                "not watched: what is known of DRA stays, and what is new is not seen"
            );
        }
    }

    /// Warnings about quotas are not worth waiting for: without these two watches we go on.
    fn quota(&mut self, (plural, change): AllowanceChange) {
        match change {
            Told::Put(key, quota) => self.changed |= self.ledger.put_quota(plural, &key, quota),
            Told::Synced => drop(self.unwatched.remove(plural)),
            Told::Broken(why) => {
                if self.unwatched.insert(plural) {
                    tracing::warn!(
                        resource = plural,
                        why,
                        "not watched: nobody is warned of what slips past them"
                    );
                }
            }
        }
    }

    fn heard(&mut self, resource: &'static str) {
        if self.broken.remove(resource).is_some() {
            tracing::info!(resource, "the watch goes on");
        }
    }

    fn broke(&mut self, resource: &'static str, why: &str) {
        self.app.metrics_registry().watch_broke(resource);
        if let Some((_, known)) = self.broken.get_mut(resource) {
            why.clone_into(known);
        } else {
            self.broken.insert(resource, (Instant::now(), why.to_owned()));
            tracing::warn!(
                resource,
                why,
                "a watch broke and is being taken up again; what is known stays"
            );
        }
    }

    fn is_whole(&self) -> bool {
        self.whole == self.wanted
    }

    /// Says what the first state waits for, and why, to whoever asks whether we are ready.
    fn publish_waiting(&self) {
        let missing = self
            .wanted
            .difference(&self.whole)
            .map(|resource| match self.broken.get(resource) {
                Some((_, why)) => format!("{resource} ({why})"),
                None => (*resource).to_owned(),
            });
        let waiting_for = format!(
            "waiting for the first list of {}",
            missing.collect::<Vec<_>>().join(", ")
        );
        if self.app.state().waiting_for != waiting_for {
            self.app.replace(State {
                waiting_for,
                ..State::default()
            });
        }
    }

    /// Shows what was taken in, and only then ends what was reserved for it.
    pub fn publish(&mut self) {
        if !self.is_whole() {
            return self.publish_waiting();
        }
        let first = self.app.state().inventory.is_none();
        if first {
            // The first state that is published is right in every part.
            self.ledger.refresh_awaited();
            tracing::info!(
                nodes = self.ledger.inventory().node_count(),
                "the cluster has been seen whole"
            );
        }
        if std::mem::take(&mut self.changed) || first {
            let inventory = Some(Arc::new(self.ledger.inventory().clone()));
            self.app.replace(State {
                policies: self.book.set(),
                inventory,
                waiting_for: String::new(),
                breaches: Some(self.rounds.patrol.found().clone()),
            });
        }
        // Not before the state has them: for a moment they count twice, and never not at all.
        if !self.placed.is_empty() {
            let mut reservations = self.app.reservations();
            self.placed.drain(..).for_each(|uid| reservations.settle(&uid));
        }
        if !self.counted.is_empty() {
            let settled = std::mem::take(&mut self.counted);
            self.app
                .settle(settled.iter().map(|(namespace, demand)| (&**namespace, demand)));
        }
    }
}

/// The next change of a kind; never one of a kind that is not watched.
async fn next<K: Kind>(changes: &mut Option<Receiver<Change<K>>>) -> Option<Change<K>> {
    match changes {
        Some(changes) => changes.recv().await,
        None => std::future::pending().await,
    }
}
