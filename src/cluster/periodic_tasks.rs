//! The writer's periodic tasks: scanning pods, and publishing Events and policy statuses.
//!
//! Events and statuses are written by a task each, from a bounded queue; what does not fit stays
//! with its producer and is retried. An API server that refuses or is away costs log lines and
//! nothing else.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::compliance_scanner::ComplianceScanner;
use super::events::{self, PodEvent};
use super::lease::{self, Leadership, LeaseConfig};
use super::policies::PolicyBook;
use super::status::{self, StatusWrite, Statuses};
use crate::service::{Clock, Metrics};
use apportion_core::inventory::Ledger;

/// How often Events and statuses are queued.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Queued Events.
const EVENT_QUEUE: usize = 64;
/// Queued statuses.
const STATUS_QUEUE: usize = 16;

/// Writes Events and statuses while this replica leads.
#[derive(Clone, Debug)]
pub struct StatusPublisher {
    /// `None` outside a cluster, where no other replica could write.
    leadership: Option<Leadership>,
    events: Sender<PodEvent>,
    statuses: Sender<StatusWrite>,
}

impl StatusPublisher {
    /// Starts the writers. Without a `lease` this replica always writes.
    pub fn start(client: &Client, lease: Option<LeaseConfig>, tasks: &mut JoinSet<()>) -> Self {
        let instance = lease.as_ref().map(|lease| lease.holder.clone());
        let leadership = lease.map(|lease| {
            let (leads, led) = watch::channel(None);
            let clock = Clock::start();
            tasks.spawn(lease::hold(client.clone(), lease, None, clock.clone(), leads));
            Leadership { term: led, clock }
        });
        let (events, queue) = channel(EVENT_QUEUE);
        tasks.spawn(events::write(client.clone(), instance, queue, leadership.clone()));
        let (statuses, queue) = channel(STATUS_QUEUE);
        tasks.spawn(status::write(client.clone(), queue, leadership.clone()));
        StatusPublisher {
            leadership,
            events,
            statuses,
        }
    }

    fn is_leader(&self) -> bool {
        self.leadership.as_ref().is_none_or(Leadership::is_ours)
    }
}

/// Runs in the writer's task.
#[derive(Debug)]
pub struct PeriodicTasks {
    pub(super) scanner: ComplianceScanner,
    own_namespace: Option<String>,
    publisher: Option<StatusPublisher>,
    statuses: Statuses,
    reported: Option<Instant>,
}

impl PeriodicTasks {
    /// Tasks that skip our own namespace. Without a `publisher` nothing is written.
    pub fn new(own_namespace: Option<String>, publisher: Option<StatusPublisher>) -> Self {
        PeriodicTasks {
            scanner: ComplianceScanner::new(own_namespace.clone()),
            own_namespace,
            publisher,
            statuses: Statuses::default(),
            reported: None,
        }
    }

    /// Runs once, after the first list is complete. Returns whether violations changed.
    pub(super) fn run(&mut self, ledger: &Ledger, policies: &PolicyBook, metrics: &Metrics) -> bool {
        let found = self.scanner.scan(ledger, &policies.set(), Timestamp::now());
        metrics.found_violations(found.unwrap_or(0));
        if let Some(publisher) = self.publisher.as_ref().filter(|publisher| publisher.is_leader())
            && self.reported.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL)
        {
            self.reported = Some(Instant::now());
            self.scanner.report(&publisher.events);
            let own = self.own_namespace.as_deref();
            self.statuses.queue(ledger, policies, own, &publisher.statuses);
        }
        found.is_some()
    }
}
