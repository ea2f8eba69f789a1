//! What came of all cases, for a person: those that failed with what was expected and what came.

use std::fmt::Write as _;

use crate::cli::page::{BAD, FAINT, GOOD, painted};
use apportion_analysis::policy_test::case::Outcome;

/// All outcomes, and a summary.
pub fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        if outcome.passed {
            let _ = writeln!(text, "{}  {}", painted(GOOD, "ok    "), outcome.name);
            continue;
        }
        let _ = writeln!(text, "{}  {}", painted(BAD, "FAILED"), outcome.name);
        for failure in &outcome.failures {
            let _ = writeln!(
                text,
                "        {}:{}:{}: {}\n          {}\n          {}",
                outcome.file,
                failure.line,
                failure.column,
                failure.field,
                painted(GOOD, &format!("expected: {}", failure.expected)),
                painted(BAD, &format!("got:      {}", failure.actual)),
            );
        }
        let _ = writeln!(text, "        {}", painted(FAINT, &outcome.because));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    let s = if outcomes.len() == 1 { "" } else { "s" };
    let summary = match failed {
        0 => painted(GOOD, &format!("{} case{s}, all as expected", outcomes.len())),
        failed => painted(BAD, &format!("{failed} of {} case{s} failed", outcomes.len())),
    };
    text.push_str(&summary);
    text.push('\n');
    text
}
