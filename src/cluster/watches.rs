//! All watches of a cluster as one stream.

use kube::Client;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

use super::device_classes::Classes;
use super::kind::{Namespaces, Nodes, Pods, Policies};
use super::quotas::{LimitRanges, Quotas};
use super::watch::{Change, follow};

/// Changes that may wait to be taken in. A full channel holds the watches back, and with them the memory that a list needs.
const WAITING: usize = 1024;

/// The watches, which end with this.
pub struct Watches {
    /// Nodes.
    pub nodes: Receiver<Change<Nodes>>,
    /// Namespaces.
    pub namespaces: Receiver<Change<Namespaces>>,
    /// Pods.
    pub pods: Receiver<Change<Pods>>,
    /// Device classes.
    pub classes: Receiver<Change<Classes>>,
    /// Quotas; `None` where nobody is warned of them.
    pub quotas: Option<Receiver<Change<Quotas>>>,
    /// Limit ranges; `None` likewise.
    pub ranges: Option<Receiver<Change<LimitRanges>>>,
    /// Policies; `None` when the cluster's are not used.
    pub policies: Option<Receiver<Change<Policies>>>,
    _watches: JoinSet<()>,
}

impl Watches {
    /// Starts watching.
    pub fn start(client: &Client, with_policies: bool, with_allowances: bool) -> Self {
        let mut watches = JoinSet::new();
        let (node_changes, nodes) = channel(WAITING);
        let (namespace_changes, namespaces) = channel(WAITING);
        let (pod_changes, pods) = channel(WAITING);
        let (class_changes, classes) = channel(WAITING);
        watches.spawn(follow(client.clone(), node_changes));
        watches.spawn(follow(client.clone(), namespace_changes));
        watches.spawn(follow(client.clone(), pod_changes));
        watches.spawn(follow(client.clone(), class_changes));
        let policies = with_policies.then(|| {
            let (policy_changes, policies) = channel(WAITING);
            watches.spawn(follow(client.clone(), policy_changes));
            policies
        });
        let quotas = with_allowances.then(|| {
            let (quota_changes, quotas) = channel(WAITING);
            let (range_changes, ranges) = channel(WAITING);
            watches.spawn(follow(client.clone(), quota_changes));
            watches.spawn(follow(client.clone(), range_changes));
            (quotas, ranges)
        });
        let (quotas, ranges) = quotas.unzip();
        Watches {
            quotas,
            ranges,
            nodes,
            namespaces,
            pods,
            classes,
            policies,
            _watches: watches,
        }
    }
}
