//! The leader election task, step by step.

use apportion::cluster::lease::{self, Action, Outcome};
use jiff::Timestamp;

use super::replica::{LeaseStage, millis, rest};
use super::world::{NAMES, World};

impl World {
    /// Delivers or drops writes of the Lease whose sender has given up.
    pub(super) fn late_lease_writes(&mut self) {
        let now = self.now();
        self.late_lease_writes.retain(|(until, _)| now <= *until);
        if !self.late_lease_writes.is_empty() && self.random.percent(30) {
            let at = self.random.index(self.late_lease_writes.len());
            let (_, lease) = self.late_lease_writes.swap_remove(at);
            self.statistics.unheard += u64::from(self.api.write_lease(lease));
        }
    }

    /// The next step of the leader election task. With `loses`, requests and answers may be lost.
    /// Returns whether there was a step.
    pub(super) fn lease(&mut self, at: usize, loses: bool) -> bool {
        let now = self.now();
        let lost = loses && (self.random.percent(self.behavior.loses) || now < self.cut[at]);
        let replica = &mut self.replicas[at];
        let stage = std::mem::replace(&mut replica.stage, rest(now));
        let limit = millis(lease::CALL_TIMEOUT);
        let begun_at = match &stage {
            LeaseStage::Look { begun }
            | LeaseStage::Write { begun, .. }
            | LeaseStage::Answer { begun, .. }
            | LeaseStage::Leave { begun }
            | LeaseStage::LeaveWrite { begun, .. } => Some(*begun),
            LeaseStage::Rest { .. } | LeaseStage::Notice { .. } => None,
        };
        if begun_at.is_some_and(|begun| now > begun + limit) {
            // A timeout: try again later.
            return true;
        }
        replica.stage = match stage {
            LeaseStage::Rest { until } if now < until => {
                replica.stage = LeaseStage::Rest { until };
                return false;
            }
            LeaseStage::Notice { until, leave } if now < until => {
                replica.stage = LeaseStage::Notice { until, leave };
                return false;
            }
            LeaseStage::Rest { .. } => LeaseStage::Look { begun: now },
            LeaseStage::Notice { leave: false, .. } => rest(now),
            LeaseStage::Notice { leave: true, .. } => LeaseStage::Leave { begun: now },
            LeaseStage::Look { begun } if lost => {
                replica.stage = LeaseStage::Look { begun };
                return false;
            }
            LeaseStage::Look { begun } => {
                let stamp = Timestamp::from_millisecond(i64::try_from(now).unwrap()).unwrap();
                let wants = replica.is_wanted();
                let time = std::time::Duration::from_millis(now);
                match replica.holder.decide(self.api.lease(), wants, time, stamp) {
                    Action::None(became) => LeaseStage::Answer { begun, became },
                    Action::Write(lease, became) => LeaseStage::Write { begun, lease, became },
                }
            }
            LeaseStage::Write { begun, lease, became }
                if lost
                    || (loses
                        && became == Outcome::Acquired
                        && self.random.percent(self.behavior.lost_acquisitions)) =>
            {
                if !lost || self.random.percent(self.behavior.unheard) {
                    self.statistics.unheard += u64::from(self.api.write_lease(*lease));
                } else if self.random.percent(50) {
                    self.late_lease_writes.push((begun + limit, *lease));
                }
                // Either the request times out or the connection fails at once.
                rest(if self.random.percent(50) { begun + limit } else { now })
            }
            LeaseStage::Write { begun, lease, became } => {
                let written = self.api.write_lease(*lease);
                let became = if written { became } else { Outcome::HeldByOther };
                LeaseStage::Answer { begun, became }
            }
            LeaseStage::Answer { begun, became } => {
                replica.conclude(became, begun, now);
                if matches!(became, Outcome::Acquired | Outcome::Resumed) {
                    self.statistics.terms += 1;
                }
                self.statistics.resumed += u64::from(became == Outcome::Resumed);
                self.statistics.handed_over += u64::from(became == Outcome::HandoverRequested);
                if !matches!(became, Outcome::HeldByOther | Outcome::Renewed) {
                    self.note(|| format!("{}: lease attempt: {became:?}", NAMES[at]));
                }
                return true;
            }
            LeaseStage::Leave { begun } => match self.api.lease().and_then(|lease| replica.holder.release(lease)) {
                Some(lease) => LeaseStage::LeaveWrite {
                    begun,
                    lease: Box::new(lease),
                },
                None => rest(now),
            },
            LeaseStage::LeaveWrite { lease, .. } => {
                if !lost {
                    self.api.write_lease(*lease);
                }
                rest(now)
            }
        };
        true
    }
}
