//! What came of all cases, for a person: those that failed with what was expected and what came.

use super::case::Outcome;
use crate::cli::page::{BAD, FAINT, GOOD, painted};

/// All outcomes, and a summary.
pub fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        if outcome.passed {
            text.push_str(&format!("{}  {}\n", painted(GOOD, "ok    "), outcome.name));
            continue;
        }
        text.push_str(&format!("{}  {}\n", painted(BAD, "FAILED"), outcome.name));
        for failure in &outcome.failures {
            text.push_str(&format!(
                "        {}:{}:{}: {}\n          {}\n          {}\n",
                outcome.file,
                failure.line,
                failure.column,
                failure.field,
                painted(GOOD, &format!("expected: {}", failure.expected)),
                painted(BAD, &format!("got:      {}", failure.actual)),
            ));
        }
        text.push_str(&format!("        {}\n", painted(FAINT, &outcome.because)));
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
