//! Collects what happens to pods, and counts pods to which the same happens.

use std::collections::BTreeMap;

use super::report::{Change, ChangeKind, MissingCapacity, Share, workload_name};
use crate::dry_run::DryRun;
use apportion_core::inventory::PodEntry;

/// What happens to one pod.
pub(super) struct PodChange {
    pub(super) kind: ChangeKind,
    pub(super) from: Share,
    /// `None` if the pod is denied.
    pub(super) to: Option<Share>,
    pub(super) same_under_old: Option<bool>,
    pub(super) restored: bool,
    /// Whether no node has room for the pod.
    pub(super) without_place: bool,
}

/// What changes must have in common to be counted as one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ChangeKey {
    namespace: String,
    workload: String,
    kind: ChangeKind,
    policy: Option<String>,
    from: Share,
    to: Option<Share>,
    /// Set for denials only. The reasons of pods that get the same may differ, because one of them
    /// may take the last free share.
    denial: Option<String>,
    same_under_old: Option<bool>,
    restored: bool,
}

struct ChangeCount {
    pods: usize,
    without_place: usize,
    /// The reason for the first pod.
    because: String,
}

#[derive(Default)]
struct MissingCount {
    shares: u64,
    pods: usize,
}

#[derive(Default)]
pub(super) struct Changes {
    changes: BTreeMap<ChangeKey, ChangeCount>,
    /// By strategy and resource.
    missing: BTreeMap<(Option<&'static str>, String), MissingCount>,
}

impl Changes {
    pub(super) fn add(&mut self, pod: &PodEntry, dry_run: &DryRun, change: PodChange) {
        if change.without_place
            && let Some(to) = &change.to
        {
            for (resource, shares) in &to.resources {
                let missing = self.missing.entry((dry_run.strategy, resource.clone())).or_default();
                missing.shares += shares;
                missing.pods += 1;
            }
        }
        let key = ChangeKey {
            namespace: pod.record.namespace.to_string(),
            workload: workload_name(&pod.record.name, &pod.record.summary.labels),
            kind: change.kind,
            policy: dry_run.policy.clone(),
            from: change.from,
            to: change.to,
            denial: dry_run.denied.then(|| dry_run.because.clone()),
            same_under_old: change.same_under_old,
            restored: change.restored,
        };
        let count = self.changes.entry(key).or_insert_with(|| ChangeCount {
            pods: 0,
            without_place: 0,
            because: dry_run.because.clone(),
        });
        count.pods += 1;
        count.without_place += usize::from(change.without_place);
    }

    pub(super) fn into_report_parts(self) -> (Vec<Change>, Vec<MissingCapacity>) {
        let changes = self.changes.into_iter().map(|(key, count)| Change {
            namespace: key.namespace,
            workload: key.workload,
            pods: count.pods,
            kind: key.kind,
            policy: key.policy,
            from: key.from,
            to: key.to,
            because: count.because,
            without_place: count.without_place,
            same_under_old: key.same_under_old,
            restored: key.restored,
        });
        let missing = self
            .missing
            .into_iter()
            .map(|((strategy, resource), count)| MissingCapacity {
                strategy,
                resource,
                shares: count.shares,
                pods: count.pods,
            });
        (changes.collect(), missing.collect())
    }
}
