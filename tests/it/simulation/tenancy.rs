//! The task that holds the Lease, step by step.

use apportion::cluster::lease::{self, Attempt, Move};
use jiff::Timestamp;

use super::replica::{Stage, millis, rest};
use super::world::{NAMES, World};

impl World {
    /// Writes of the Lease that nobody waits for any more arrive, or never will.
    pub(super) fn late_leases(&mut self) {
        let now = self.now();
        self.late_leases.retain(|(until, _)| now <= *until);
        if !self.late_leases.is_empty() && self.dice.percent(30) {
            let at = self.dice.place(self.late_leases.len());
            let (_, lease) = self.late_leases.swap_remove(at);
            self.tally.unheard += u64::from(self.api.write_lease(lease));
        }
    }

    /// The next step of the task that holds the Lease. Requests and answers may get lost where `loses`. Returns whether there was one.
    pub(super) fn lease(&mut self, at: usize, loses: bool) -> bool {
        let now = self.now();
        let lost = loses && (self.dice.percent(self.habits.loses) || now < self.cut[at]);
        let replica = &mut self.replicas[at];
        let stage = std::mem::replace(&mut replica.stage, rest(now));
        let limit = millis(lease::PATIENCE);
        let begun_at = match &stage {
            Stage::Look { begun }
            | Stage::Write { begun, .. }
            | Stage::Answer { begun, .. }
            | Stage::Leave { begun }
            | Stage::LeaveWrite { begun, .. } => Some(*begun),
            Stage::Rest { .. } | Stage::Notice { .. } => None,
        };
        if begun_at.is_some_and(|begun| now > begun + limit) {
            // No answer in time; it rests.
            return true;
        }
        replica.stage = match stage {
            Stage::Rest { until } if now < until => {
                replica.stage = Stage::Rest { until };
                return false;
            }
            Stage::Notice { until, leave } if now < until => {
                replica.stage = Stage::Notice { until, leave };
                return false;
            }
            Stage::Rest { .. } => Stage::Look { begun: now },
            Stage::Notice { leave: false, .. } => rest(now),
            Stage::Notice { leave: true, .. } => Stage::Leave { begun: now },
            Stage::Look { begun } if lost => {
                replica.stage = Stage::Look { begun };
                return false;
            }
            Stage::Look { begun } => {
                let stamp = Timestamp::from_millisecond(i64::try_from(now).unwrap()).unwrap();
                let wants = replica.is_wanted();
                let time = std::time::Duration::from_millis(now);
                match replica.holder.look(self.api.lease(), wants, time, stamp) {
                    Move::Rest(became) => Stage::Answer { begun, became },
                    Move::Write(lease, became) => Stage::Write { begun, lease, became },
                }
            }
            Stage::Write { begun, lease, became }
                if lost || (loses && became == Attempt::Taken && self.dice.percent(self.habits.deaf)) =>
            {
                if !lost || self.dice.percent(self.habits.unheard) {
                    self.tally.unheard += u64::from(self.api.write_lease(*lease));
                } else if self.dice.percent(50) {
                    self.late_leases.push((begun + limit, *lease));
                }
                // It waits for the answer in vain, or is told at once that the connection is gone.
                rest(if self.dice.percent(50) { begun + limit } else { now })
            }
            Stage::Write { begun, lease, became } => {
                let written = self.api.write_lease(*lease);
                let became = if written { became } else { Attempt::Elsewhere };
                Stage::Answer { begun, became }
            }
            Stage::Answer { begun, became } => {
                replica.conclude(became, begun, now);
                if matches!(became, Attempt::Taken | Attempt::Resumed) {
                    self.tally.terms += 1;
                }
                self.tally.resumed += u64::from(became == Attempt::Resumed);
                self.tally.handed_over += u64::from(became == Attempt::AskedFor);
                if !matches!(became, Attempt::Elsewhere | Attempt::Renewed) {
                    self.note(|| format!("{}: the lease is {became:?}", NAMES[at]));
                }
                return true;
            }
            Stage::Leave { begun } => match self.api.lease().and_then(|lease| replica.holder.leave(lease)) {
                Some(lease) => Stage::LeaveWrite {
                    begun,
                    lease: Box::new(lease),
                },
                None => rest(now),
            },
            Stage::LeaveWrite { lease, .. } => {
                if !lost {
                    self.api.write_lease(*lease);
                }
                rest(now)
            }
        };
        true
    }
}
