//! A progress bar on standard error, if that is a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Shorter operations get no bar.
const SHOW_AFTER: Duration = Duration::from_millis(700);
/// The least time between two redraws.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// The characters of the bar.
const WIDTH: usize = 30;

#[derive(Debug)]
pub(super) struct Progress {
    enabled: bool,
    started: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    pub(super) fn on_terminal() -> Self {
        Progress {
            enabled: std::io::stderr().is_terminal(),
            started: Instant::now(),
            drawn: None,
        }
    }

    pub(super) fn update(&mut self, finished: usize, total: usize) {
        let early = self.started.elapsed() < SHOW_AFTER;
        let recent = self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW_INTERVAL);
        if !self.enabled || early || recent || total == 0 {
            return;
        }
        self.drawn = Some(Instant::now());
        // The bar is optional: a failed write is no error.
        let _ = write!(std::io::stderr(), "\r{}", line(finished, total, self.started.elapsed()));
    }
}

/// Removes the bar.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(finished: usize, total: usize, elapsed: Duration) -> String {
    let filled = (WIDTH * finished.min(total)) / total;
    format!(
        "querying Prometheus [{}{}] {finished}/{total} queries, {} s ",
        "#".repeat(filled),
        " ".repeat(WIDTH - filled),
        elapsed.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_is_filled_in_proportion() {
        assert!(line(1, 2, Duration::from_secs(3)).contains(&format!("[{}{}] 1/2", "#".repeat(15), " ".repeat(15))));
        assert!(line(5, 2, Duration::ZERO).contains(&"#".repeat(30)));
    }
}
