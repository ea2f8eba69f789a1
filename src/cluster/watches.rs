//! All watches of a cluster as one stream of changes.

use kube::Client;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::kind::{DeviceClasses, LimitRanges, Namespaces, Nodes, Pods, Policies, Quotas};
use super::watch::follow;
use super::writer::{AnyChange, Watched};

/// Queued changes. A full queue holds the watches back, and with them the memory of a list.
const QUEUE: usize = 1024;

/// The watches, which stop when this is dropped.
pub struct Watches {
    tasks: JoinSet<()>,
    sender: Sender<AnyChange>,
}

impl Watches {
    /// Watches what decisions need, and quotas only `with_quotas`: they serve warnings of the
    /// webhook.
    pub fn start(client: &Client, with_quotas: bool) -> (Self, Receiver<AnyChange>) {
        let (sender, changes) = channel(QUEUE);
        let mut watches = Watches {
            tasks: JoinSet::new(),
            sender,
        };
        watches.watch::<Nodes>(client);
        watches.watch::<Namespaces>(client);
        watches.watch::<Pods>(client);
        watches.watch::<DeviceClasses>(client);
        watches.watch::<Policies>(client);
        if with_quotas {
            watches.watch::<Quotas>(client);
            watches.watch::<LimitRanges>(client);
        }
        (watches, changes)
    }

    fn watch<K: Watched>(&mut self, client: &Client) {
        self.tasks
            .spawn(follow::<K, AnyChange>(client.clone(), self.sender.clone()));
    }
}
