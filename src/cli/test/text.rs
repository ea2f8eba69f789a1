//! The results as text: failed cases with what was expected and what came.

use std::fmt::Write as _;

use crate::cli::page::{BAD, FAINT, GOOD, painted};
use apportion_analysis::policy_test::CaseResult;

/// All results and a summary.
pub fn text(results: &[CaseResult]) -> String {
    let mut text = String::new();
    for result in results {
        if result.passed {
            let _ = writeln!(text, "{}  {}", painted(GOOD, "ok    "), result.name);
            continue;
        }
        let _ = writeln!(text, "{}  {}", painted(BAD, "FAILED"), result.name);
        for failure in &result.failures {
            let _ = writeln!(
                text,
                "        {}:{}:{}: {}\n          {}\n          {}",
                result.file,
                failure.line,
                failure.column,
                failure.field,
                painted(GOOD, &format!("expected: {}", failure.expected)),
                painted(BAD, &format!("got:      {}", failure.actual)),
            );
        }
        let _ = writeln!(text, "        {}", painted(FAINT, &result.because));
    }
    let failed = results.iter().filter(|result| !result.passed).count();
    let s = if results.len() == 1 { "" } else { "s" };
    let summary = match failed {
        0 => painted(GOOD, &format!("{} case{s}, all as expected", results.len())),
        failed => painted(BAD, &format!("{failed} of {} case{s} failed", results.len())),
    };
    text.push_str(&summary);
    text.push('\n');
    text
}
