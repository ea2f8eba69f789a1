//! Compares two servers that get the same requests alternately.
//!
//! The speed of a shared machine varies from second to second. Alternating rounds have the same
//! conditions, and the median ignores outliers.

use std::time::Duration;

use crate::calls::{Connection, Target, hammer};
use crate::process::{Process, ask_from_one_core};

/// One of the servers.
pub(crate) struct Side<'p> {
    pub(crate) process: &'p Process,
    pub(crate) target: Target,
}

/// The amount of work.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Rounds of each server.
    pub(crate) rounds: usize,
    /// Calls in a round.
    pub(crate) calls: usize,
    /// Connections that share the calls.
    pub(crate) connections: usize,
}

/// The result.
pub(crate) struct Outcome {
    /// Of the first side.
    pub(crate) first: Cost,
    /// Of the second.
    pub(crate) second: Cost,
    /// CPU of the first over that of the second: the median of all rounds' ratios.
    pub(crate) ratio: f64,
}

/// The cost of a call.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// CPU of the server, the median of all rounds, in microseconds.
    pub(crate) cpu: f64,
    /// Latency in microseconds: the median and the 99th percentile.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The length of an answer in bytes.
    pub(crate) answer: usize,
}

/// A server with its connections and measurements.
struct Corner<'s> {
    side: &'s Side<'s>,
    connections: Vec<Connection>,
    cpu: Vec<f64>,
    waits: Vec<f64>,
    answer: usize,
}

impl<'s> Corner<'s> {
    fn new(side: &'s Side<'s>, request: &[u8], effort: Effort) -> anyhow::Result<Self> {
        let mut connections = (0..effort.connections)
            .map(|_| Connection::open(&side.target))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let answer = connections[0].ask(request)?.len();
        // Warm up: the first calls cost more.
        hammer(&mut connections, request, (effort.calls / 10).max(3))?;
        Ok(Corner {
            side,
            connections,
            cpu: Vec::new(),
            waits: Vec::new(),
            answer,
        })
    }

    fn turn(&mut self, request: &[u8], calls: usize) -> anyhow::Result<f64> {
        let each = calls.div_ceil(self.connections.len());
        let before = self.side.process.cpu()?;
        let took = hammer(&mut self.connections, request, each)?;
        let spent = self.side.process.cpu()?.saturating_sub(before);
        #[allow(clippy::cast_precision_loss, reason = "some thousands")]
        let cpu = micros(spent) / took.len() as f64;
        self.cpu.push(cpu);
        self.waits.extend(took.into_iter().map(micros));
        Ok(cpu)
    }

    fn cost(mut self) -> Cost {
        Cost {
            cpu: quantile(&mut self.cpu, 0.5),
            p50: quantile(&mut self.waits, 0.5),
            p99: quantile(&mut self.waits, 0.99),
            answer: self.answer,
        }
    }
}

/// Sends both servers the same request, A B A B, from a core that neither of them uses.
pub(crate) fn duel(first: &Side<'_>, second: &Side<'_>, request: &[u8], effort: Effort) -> anyhow::Result<Outcome> {
    let fight = || {
        ask_from_one_core();
        take_turns(first, second, request, effort)
    };
    std::thread::scope(|scope| scope.spawn(fight).join())
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that asked panicked")))
}

fn take_turns(first: &Side<'_>, second: &Side<'_>, request: &[u8], effort: Effort) -> anyhow::Result<Outcome> {
    let mut a = Corner::new(first, request, effort)?;
    let mut b = Corner::new(second, request, effort)?;
    let mut ratios = Vec::new();
    for _ in 0..effort.rounds {
        ratios.push(a.turn(request, effort.calls)? / b.turn(request, effort.calls)?);
    }
    Ok(Outcome {
        ratio: quantile(&mut ratios, 0.5),
        first: a.cost(),
        second: b.cost(),
    })
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A quantile.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an index into a list"
)]
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
