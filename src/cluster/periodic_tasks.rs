//! What the writer does now and then besides keeping the state: it has pods looked at, and has written down what follows.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::compliance_scanner::ComplianceScanner;
use super::policies::PolicyBook;
use super::status::Statuses;
use super::status_publisher::StatusPublisher;
use crate::service::Metrics;
use apportion_core::inventory::Ledger;

/// How often statuses are looked at, and Events handed over.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What is done now and then.
#[derive(Debug)]
pub struct PeriodicTasks {
    pub(super) patrol: ComplianceScanner,
    own_namespace: Option<String>,
    desk: Option<StatusPublisher>,
    statuses: Statuses,
    reported: Option<Instant>,
}

impl PeriodicTasks {
    /// Rounds that pass over our own namespace, and hand in at `desk` what is to be written; `None` where others write it.
    pub fn new(own_namespace: Option<String>, desk: Option<StatusPublisher>) -> Self {
        PeriodicTasks {
            patrol: ComplianceScanner::new(own_namespace.clone()),
            own_namespace,
            desk,
            statuses: Statuses::default(),
            reported: None,
        }
    }

    /// Goes once, in a cluster that has been seen whole. Returns whether other breaches are known than before.
    pub(super) fn go(&mut self, ledger: &Ledger, book: &PolicyBook, metrics: &Metrics) -> bool {
        let found = self.patrol.round(ledger, &book.set(), Timestamp::now());
        metrics.found_breaches(found.unwrap_or(0));
        if let Some(desk) = self.desk.as_ref().filter(|desk| desk.is_ours())
            && self.reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY)
        {
            self.reported = Some(Instant::now());
            self.patrol.tell(&desk.notices);
            let own = self.own_namespace.as_deref();
            self.statuses.hand_over(ledger, book, own, &desk.statuses);
        }
        found.is_some()
    }
}
