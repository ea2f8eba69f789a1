//! The only writer of the state: applies changes of the cluster and publishes new states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior};

use super::kind::{DeviceClasses, Kind, LimitRanges, Namespaces, Nodes, Pods, Policies, Quotas};
use super::periodic_tasks::PeriodicTasks;
use super::policies::PolicyBook;
use super::watch::Change;
use crate::service::{App, State};
use apportion_core::gpu::Counts;
use apportion_core::inventory::{Ledger, PodRecord};
use apportion_core::k8s::Text;
use apportion_core::policy::Policy;

/// How often the demand of pending pods is computed again. It is only a hint, so it may be this
/// old.
const TICK: Duration = Duration::from_millis(250);

/// A kind that the writer applies.
pub trait Watched: Kind {
    /// What a failed watch of this kind means.
    const ON_FAILURE: OnFailure = OnFailure::Stale;
    /// What it means if the API server does not have the kind.
    const IF_NOT_INSTALLED: IfNotInstalled = IfNotInstalled::Fail;

    /// Applies an object; `None` if it is gone.
    fn apply(writer: &mut Writer, key: String, object: Option<Self::Kept>);
}

/// What a failed watch means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The state is stale until the watch works again, and the first state waits for its list.
    Stale,
    /// The service runs without the kind; a warning says what that costs.
    Warn(&'static str),
}

/// What it means if the API server does not have a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfNotInstalled {
    /// The same as a failed watch.
    Fail,
    /// The list is empty, which may be worth a log line.
    Empty(Option<&'static str>),
}

/// A change of any kind.
pub struct AnyChange(Box<dyn FnOnce(&mut Writer) + Send>);

impl<K: Watched> From<Change<K>> for AnyChange {
    fn from(change: Change<K>) -> Self {
        AnyChange(Box::new(move |writer| writer.apply(change)))
    }
}

/// Applies changes and publishes states.
pub struct Writer {
    app: Arc<App>,
    ledger: Ledger,
    policies: PolicyBook,
    /// Kinds, by plural name, whose list must be complete before a state is published.
    required: BTreeSet<&'static str>,
    /// Required kinds whose list is complete.
    synced: BTreeSet<&'static str>,
    /// Since when each broken watch is silent, and its error.
    broken: BTreeMap<&'static str, (Instant, String)>,
    /// Kinds without which the service runs for now.
    unwatched: BTreeSet<&'static str>,
    /// Whether something changed since the last state.
    changed: bool,
    /// Pending pods that arrived since the last tick, by `namespace/name`: namespace and demand.
    arrived: BTreeMap<Box<str>, (Box<str>, Counts)>,
    /// Earlier ones, whose pending admissions end with the next state.
    counted: Vec<(Box<str>, Counts)>,
    /// UIDs of pods that were bound or deleted since the last state.
    placed: Vec<Box<str>>,
    tasks: PeriodicTasks,
}

impl Writer {
    /// A writer for `app` that knows the policies of files and nothing of the cluster.
    pub fn new(app: Arc<App>, files: Vec<Policy>, tasks: PeriodicTasks) -> Self {
        let policies = PolicyBook::of_files(files);
        let mut ledger = Ledger::default();
        ledger.set_policies(policies.set());
        Writer {
            app,
            ledger,
            policies,
            required: BTreeSet::from([Nodes::PLURAL, Namespaces::PLURAL, Pods::PLURAL, DeviceClasses::PLURAL]),
            synced: BTreeSet::new(),
            broken: BTreeMap::new(),
            unwatched: BTreeSet::new(),
            changed: false,
            arrived: BTreeMap::new(),
            counted: Vec::new(),
            placed: Vec::new(),
            tasks,
        }
    }

    /// Writes states, with the policies of the cluster, until the task is aborted. `files` brings
    /// the policies of files when they change.
    pub async fn run(mut self, mut changes: Receiver<AnyChange>, mut files: Receiver<Vec<Policy>>) {
        self.required.insert(Policies::PLURAL);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(AnyChange(apply)) = changes.recv() => apply(&mut self),
                Some(policies) = files.recv() => self.files(policies),
                _ = tick.tick() => self.tick(),
            }
            // Everything that is queued is applied before the next state: a burst costs one state,
            // not one each.
            while let Ok(AnyChange(apply)) = changes.try_recv() {
                apply(&mut self);
            }
            self.publish();
        }
    }

    /// Periodic work.
    pub fn tick(&mut self) {
        self.changed |= self.ledger.refresh_pending_demand();
        if self.is_synced() {
            let metrics = self.app.metrics();
            self.changed |= self.tasks.run(&self.ledger, &self.policies, metrics);
        }
        self.counted.extend(std::mem::take(&mut self.arrived).into_values());
        if self.is_synced() && self.broken.is_empty() {
            let now = self.app.now();
            self.app.reservations().expire(now);
        }
        let silent = self
            .broken
            .values()
            .map(|(since, _)| since.elapsed())
            .max()
            .unwrap_or_default();
        self.app.metrics().cluster_stale(silent);
    }

    /// Replaces the policies of files.
    pub fn files(&mut self, policies: Vec<Policy>) {
        self.policies.set_files(policies);
        self.policies_changed();
    }

    fn policies_changed(&mut self) {
        self.ledger.set_policies(self.policies.set());
        self.tasks.scanner.policies_changed();
        self.changed = true;
    }

    /// Applies a change of one kind.
    pub fn apply<K: Watched>(&mut self, change: Change<K>) {
        match change {
            Change::Put(key, object) => {
                K::apply(self, key, Some(object));
                self.recovered(K::PLURAL);
            }
            Change::Gone(key) => {
                K::apply(self, key, None);
                self.recovered(K::PLURAL);
            }
            Change::Synced => {
                self.unwatched.remove(K::PLURAL);
                self.mark_synced(K::PLURAL);
                self.recovered(K::PLURAL);
            }
            Change::NotInstalled => match K::IF_NOT_INSTALLED {
                IfNotInstalled::Fail => self.failed::<K>("the API server does not have this resource"),
                IfNotInstalled::Empty(message) => {
                    if self.mark_synced(K::PLURAL)
                        && let Some(message) = message
                    {
                        tracing::info!(resource = K::PLURAL, "{message}");
                    }
                }
            },
            Change::Broken(why) => self.failed::<K>(&why),
        }
    }

    /// Returns whether the first state waited for this kind.
    fn mark_synced(&mut self, resource: &'static str) -> bool {
        self.required.contains(resource) && self.synced.insert(resource)
    }

    fn recovered(&mut self, resource: &'static str) {
        if self.broken.remove(resource).is_some() {
            tracing::info!(resource, "the watch works again");
        }
    }

    fn failed<K: Watched>(&mut self, why: &str) {
        let resource = K::PLURAL;
        match K::ON_FAILURE {
            OnFailure::Warn(cost) => {
                self.mark_synced(resource);
                if self.unwatched.insert(resource) {
                    tracing::warn!(resource, why, "cannot watch: {cost}");
                }
            }
            OnFailure::Stale => {
                self.app.metrics().watch_broke(resource);
                if let Some((_, known)) = self.broken.get_mut(resource) {
                    why.clone_into(known);
                } else {
                    self.broken.insert(resource, (Instant::now(), why.to_owned()));
                    tracing::warn!(
                        resource,
                        why,
                        "a watch failed and is being restarted; keeping the last state"
                    );
                }
            }
        }
    }

    fn put_pod(&mut self, key: &str, record: Option<PodRecord>) {
        if let Some(record) = record.as_ref().filter(|_| self.ledger.pod(key).is_none()) {
            let pending = (record.namespace.clone(), record.demand.clone());
            self.arrived.insert(key.into(), pending);
        }
        // A bound pod counts on its node with the next state; its pending admission would count it
        // twice.
        if record.as_ref().is_none_or(PodRecord::is_bound) {
            self.counted.extend(self.arrived.remove(key));
        }
        let (before, after) = (self.ledger.pod(key), record.as_ref());
        if after.is_none_or(PodRecord::is_bound)
            && let Some(pod) = after.or(before)
        {
            self.placed.push(pod.summary.uid.clone());
        }
        let nomination = before.and_then(|pod| Some((pod.summary.uid.clone(), pod.nominated_node.clone()?)));
        if self.ledger.put_pod(key, record) {
            self.changed = true;
            self.tasks.scanner.pod_changed(key);
            self.follow_nomination(key, nomination);
        }
    }

    /// Reserves capacity on a pod's nominated node. The scheduler reserves what Kubernetes counts
    /// there; our limits are ours to reserve.
    fn follow_nomination(&self, key: &str, before: Option<(Box<str>, Box<Text<'static>>)>) {
        let pod = self.ledger.inventory().pod(key);
        let after = pod.and_then(|pod| Some((pod, pod.record.nominated_node.as_deref()?)));
        if before.is_none() && after.is_none() {
            return;
        }
        let now = self.app.now();
        let mut reservations = self.app.reservations();
        if let Some((uid, node)) = before {
            reservations.end_nomination(&uid, &node);
        }
        if let Some((pod, node)) = after {
            let priority = pod.record.priority;
            reservations.nominate(&pod.record.summary.uid, node, pod.to_request(), priority, now);
        }
    }

    fn is_synced(&self) -> bool {
        self.synced == self.required
    }

    /// Publishes which lists the first state waits for, for `/readyz`.
    fn publish_unlisted(&self) {
        let missing = self
            .required
            .difference(&self.synced)
            .map(|resource| match self.broken.get(resource) {
                Some((_, why)) => format!("{resource} ({why})"),
                None => (*resource).to_owned(),
            });
        let unlisted = Some(missing.collect::<Vec<_>>().join(", "));
        if self.app.state().unlisted != unlisted {
            self.app.replace(State {
                unlisted,
                ..State::default()
            });
        }
    }

    /// Publishes what was applied, and only then ends the reservations and pending admissions that
    /// it replaces: they may be counted twice but are never missed.
    pub fn publish(&mut self) {
        if !self.is_synced() {
            return self.publish_unlisted();
        }
        let first = self.app.state().inventory.is_none();
        if first {
            // So that the first state is complete.
            self.ledger.refresh_pending_demand();
            tracing::info!(
                nodes = self.ledger.inventory().node_count(),
                "the first list of the cluster is complete"
            );
        }
        if std::mem::take(&mut self.changed) || first {
            let inventory = Some(Arc::new(self.ledger.inventory().clone()));
            self.app.replace(State {
                policies: self.policies.set(),
                inventory,
                unlisted: None,
                violations: Some(self.tasks.scanner.violations().clone()),
            });
        }
        if !self.placed.is_empty() {
            let mut reservations = self.app.reservations();
            self.placed.drain(..).for_each(|uid| reservations.settle(&uid));
        }
        if !self.counted.is_empty() {
            let settled = std::mem::take(&mut self.counted);
            self.app
                .settle_pending(settled.iter().map(|(namespace, demand)| (&**namespace, demand)));
        }
    }
}

impl Watched for Nodes {
    fn apply(writer: &mut Writer, name: String, node: Option<Self::Kept>) {
        writer.changed |= match node {
            Some(node) => writer.ledger.put_node(node),
            None => writer.ledger.remove_node(&name),
        };
    }
}

impl Watched for Namespaces {
    fn apply(writer: &mut Writer, name: String, labels: Option<Self::Kept>) {
        let is_gone = labels.is_none();
        let changed = match labels {
            Some(labels) => writer.ledger.put_namespace(&name, labels),
            None => writer.ledger.remove_namespace(&name),
        };
        writer.changed |= changed;
        if changed || is_gone {
            writer.tasks.scanner.namespace_changed(&name);
        }
    }
}

impl Watched for Pods {
    fn apply(writer: &mut Writer, key: String, record: Option<Self::Kept>) {
        writer.put_pod(&key, record.flatten().map(|record| *record));
    }
}

impl Watched for Policies {
    const IF_NOT_INSTALLED: IfNotInstalled = IfNotInstalled::Empty(Some(
        "GpuSharingPolicy is not installed in this cluster: only policies of files apply",
    ));

    fn apply(writer: &mut Writer, name: String, object: Option<Self::Kept>) {
        let changed = if let Some(object) = object {
            writer.policies.put(&name, object)
        } else {
            writer.policies.remove(&name);
            true
        };
        if changed {
            writer.policies_changed();
        }
    }
}

/// Without device classes nothing is left to DRA, which is the strict side.
impl Watched for DeviceClasses {
    const ON_FAILURE: OnFailure = OnFailure::Warn("known device classes of DRA stay in use, and new ones are not seen");
    const IF_NOT_INSTALLED: IfNotInstalled = IfNotInstalled::Empty(None);

    fn apply(writer: &mut Writer, class: String, resource: Option<Self::Kept>) {
        let resource = resource.flatten();
        if writer.ledger.put_device_class(&class, resource) {
            writer.changed = true;
            if let Some(resource) = resource {
                tracing::info!(class, %resource, "DRA serves this resource where no device plugin does");
            }
        }
    }
}

/// What is lost without quotas and limit ranges.
const NO_QUOTA_WARNINGS: OnFailure = OnFailure::Warn("the webhook does not warn about requests that bypass a quota");

impl Watched for Quotas {
    const ON_FAILURE: OnFailure = NO_QUOTA_WARNINGS;

    fn apply(writer: &mut Writer, key: String, quota: Option<Self::Kept>) {
        writer.changed |= writer.ledger.put_quota(Self::PLURAL, &key, quota.flatten());
    }
}

impl Watched for LimitRanges {
    const ON_FAILURE: OnFailure = NO_QUOTA_WARNINGS;

    fn apply(writer: &mut Writer, key: String, range: Option<Self::Kept>) {
        writer.changed |= writer.ledger.put_quota(Self::PLURAL, &key, range.flatten());
    }
}
