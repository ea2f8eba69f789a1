//! The task that holds the Lease, step by step.

use apportion::cluster::lease::{self, Attempt, Move};
use jiff::Timestamp;

use super::replica::{Stage, millis, rest};
use super::world::{NAMES, World};

impl World {
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
            Stage::Look { begun } if lost => Stage::Look { begun },
            Stage::Look { begun } => {
                let stamp = Timestamp::from_millisecond(i64::try_from(now).unwrap()).unwrap();
                let wants = replica.is_wanted();
                let time = std::time::Duration::from_millis(now);
                match replica.holder.look(self.api.lease(), wants, time, stamp) {
                    Move::Rest(became) => Stage::Answer { begun, became },
                    Move::Write(lease, became) => Stage::Write { begun, lease, became },
                }
            }
            Stage::Write { begun, .. } if lost && self.dice.percent(50) => Stage::Look { begun },
            Stage::Write { begun, lease, became } => {
                let written = self.api.write_lease(*lease);
                let became = if written { became } else { Attempt::Elsewhere };
                if lost {
                    // Written, and nobody hears of it.
                    rest(begun + limit)
                } else {
                    Stage::Answer { begun, became }
                }
            }
            Stage::Answer { begun, became } => {
                replica.conclude(became, begun, now);
                if matches!(became, Attempt::Taken | Attempt::Resumed) {
                    self.tally.terms += 1;
                }
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
