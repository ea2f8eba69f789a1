//! A line that shows how far something slow has come: on standard error, and only where somebody looks.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What ends sooner needs no line.
const PATIENCE: Duration = Duration::from_millis(700);
/// How often it is drawn at most.
const PACE: Duration = Duration::from_millis(100);
const WIDTH: usize = 30;

/// The line.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    begun: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// A line on standard error, if that is a terminal.
    pub fn on_terminal() -> Self {
        Progress {
            shown: std::io::stderr().is_terminal(),
            begun: Instant::now(),
            drawn: None,
        }
    }

    /// So many of so many are done.
    pub fn at(&mut self, done: usize, all: usize) {
        let early = self.begun.elapsed() < PATIENCE;
        let soon = self.drawn.is_some_and(|drawn| drawn.elapsed() < PACE);
        if !self.shown || early || soon || all == 0 {
            return;
        }
        self.drawn = Some(Instant::now());
        // Nothing is left to do when the line can not be drawn.
        let _ = write!(std::io::stderr(), "\r{}", line(done, all, self.begun.elapsed()));
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(done: usize, all: usize, since: Duration) -> String {
    let filled = (WIDTH * done.min(all)) / all;
    format!(
        "asking Prometheus [{}{}] {done}/{all} questions, {} s ",
        "#".repeat(filled),
        " ".repeat(WIDTH - filled),
        since.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fills() {
        assert!(line(1, 2, Duration::from_secs(3)).contains(&format!("[{}{}] 1/2", "#".repeat(15), " ".repeat(15))));
        assert!(line(5, 2, Duration::ZERO).contains(&"#".repeat(30)));
    }
}
