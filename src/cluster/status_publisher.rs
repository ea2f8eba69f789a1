//! What is written to the API server beside the answers: Events on pods and the status of policies.
//!
//! Each is written by a task of its own from a queue that never grows: what does not fit stays with whoever found it. An API server that
//! refuses or is away costs log lines and nothing else.

use kube::Client;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::lease::{self, Leadership, LeaseConfig};
use super::notice::{self, Notice};
use super::status::{self, StatusWrite};
use crate::service::Clock;

/// Events that may wait to be written.
const NOTICES: usize = 64;
/// Statuses that may wait.
const STATUSES: usize = 16;

/// Where to hand in what is to be written.
#[derive(Clone, Debug)]
pub struct StatusPublisher {
    /// Whether we write; `None` where nobody else could.
    tenure: Option<Leadership>,
    /// Events.
    pub notices: Sender<Notice>,
    /// Statuses of policies.
    pub statuses: Sender<StatusWrite>,
}

impl StatusPublisher {
    /// Opens it. Without a seat nobody else is taken to write.
    pub fn open(client: &Client, seat: Option<LeaseConfig>, tasks: &mut JoinSet<()>) -> Self {
        let instance = seat.as_ref().map(|seat| seat.holder.clone());
        let tenure = seat.map(|seat| {
            let (leading, leads) = watch::channel(None);
            let clock = Clock::start();
            tasks.spawn(lease::hold(client.clone(), seat, None, clock.clone(), leading));
            Leadership { leads, clock }
        });
        let (notices, waiting) = channel(NOTICES);
        tasks.spawn(notice::write(client.clone(), instance, waiting, tenure.clone()));
        let (statuses, waiting) = channel(STATUSES);
        tasks.spawn(status::write(client.clone(), waiting, tenure.clone()));
        StatusPublisher {
            tenure,
            notices,
            statuses,
        }
    }

    /// Whether what is handed in is written.
    pub fn is_ours(&self) -> bool {
        self.tenure.as_ref().is_none_or(Leadership::is_ours)
    }
}
