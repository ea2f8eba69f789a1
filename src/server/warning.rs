//! A warning that is worth a line, but not a line for each time.

use std::sync::Mutex;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_mins(1);

/// Lets one in a minute through.
#[derive(Debug, Default)]
pub(super) struct Warning(Mutex<Option<Instant>>);

impl Warning {
    /// Whether to say it now.
    pub(super) fn is_due(&self) -> bool {
        let Ok(mut last) = self.0.lock() else { return false };
        let due = last.is_none_or(|at| at.elapsed() >= PAUSE);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_in_a_row_is_not_due() {
        let warning = Warning::default();
        assert!(warning.is_due());
        assert!(!warning.is_due());
    }
}
