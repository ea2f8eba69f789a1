//! The time that decisions go by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time since a fixed start; it never goes back.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Machine(Instant),
    Set(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's, from now on.
    pub fn start() -> Self {
        Clock(Source::Machine(Instant::now()))
    }

    /// One that somebody else sets, in milliseconds: for whoever replays what happened.
    pub fn set_by(milliseconds: Arc<AtomicU64>) -> Self {
        Clock(Source::Set(milliseconds))
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::Machine(start) => start.elapsed(),
            Source::Set(milliseconds) => Duration::from_millis(milliseconds.load(Ordering::Relaxed)),
        }
    }
}
