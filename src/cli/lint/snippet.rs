//! Formats findings like compiler errors: location and message on one line, for editors and `grep`,
//! and the source below.

use anstyle::Style;

use crate::cli::page::{BAD, DOUBTFUL, FAINT, GOOD, painted};
use apportion_core::diagnostics::{Finding, Location, Severity, counted};

const BOLD: Style = Style::new().bold();

/// Formats all findings and a summary. `texts` are the sources by file name; `subject` is what was
/// checked.
pub fn text(findings: &[Finding], texts: &[(String, String)], subject: &str) -> String {
    let mut parts: Vec<String> = findings.iter().map(|finding| format_finding(finding, texts)).collect();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let summary = match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => painted(GOOD, "nothing found"),
        (0, warnings) => painted(DOUBTFUL, &counted(warnings, "warning")),
        (errors, 0) => painted(BAD, &counted(errors, "error")),
        (errors, warnings) => format!(
            "{} and {}",
            painted(BAD, &counted(errors, "error")),
            painted(DOUBTFUL, &counted(warnings, "warning"))
        ),
    };
    parts.push(format!("{summary} in {subject}\n"));
    parts.concat()
}

fn format_finding(finding: &Finding, texts: &[(String, String)]) -> String {
    let style = style(finding.severity);
    let field = match finding.field.as_str() {
        "" => String::new(),
        field => format!("{field}: "),
    };
    let location = painted(BOLD, &finding.location.to_string());
    let severity = painted(style, finding.severity.as_str());
    let snippet = snippet(&finding.location, texts, style).unwrap_or_default();
    format!("{location}: {severity}: {field}{}\n{snippet}", finding.message)
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Error => BAD,
        Severity::Warning => DOUBTFUL,
    }
    .bold()
}

/// The line of the source, with carets under the word at the location.
fn snippet(location: &Location, texts: &[(String, String)], style: Style) -> Option<String> {
    let (_, text) = texts.iter().find(|(file, _)| **file == *location.file)?;
    let index = usize::try_from(location.line).ok()?.checked_sub(1)?;
    let line = text.lines().nth(index)?;
    let number = location.line.to_string();
    let margin = " ".repeat(number.len());
    let bar = painted(FAINT, "|");
    let column = usize::try_from(location.column).ok();
    let caret = column.and_then(|column| column.checked_sub(1)).map(|before| {
        // Tabs are kept, so that the caret is aligned at any tab width.
        let padding: String = line
            .chars()
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let word = line
            .chars()
            .skip(before)
            .take_while(|c| !" \t,]}#:".contains(*c))
            .count();
        format!("{margin} {bar} {padding}{}\n", painted(style, &"^".repeat(word.max(1))))
    });
    let number = painted(FAINT, &number);
    Some(format!(
        "{margin} {bar}\n{number} {bar} {line}\n{}\n",
        caret.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(line: u64, column: u64) -> String {
        let location = Location {
            file: "p.yaml".into(),
            line,
            column,
        };
        let finding = Finding::warning(location, "spec.mode", "is invalid");
        let texts = [("p.yaml".to_owned(), "a:\n\tb: [één, two]\n".to_owned())];
        anstream::adapter::strip_str(&text(&[finding], &texts, "1 policy")).to_string()
    }

    #[test]
    fn the_caret_is_under_its_word() {
        let end = "\n1 warning in 1 policy\n";
        let head = "warning: spec.mode: is invalid\n";
        assert_eq!(
            output(2, 6),
            format!("p.yaml:2:6: {head}  |\n2 | \tb: [één, two]\n  | \t    ^^^\n{end}")
        );
        assert_eq!(output(2, 0), format!("p.yaml:2: {head}  |\n2 | \tb: [één, two]\n{end}"));
        assert_eq!(output(0, 0), format!("p.yaml: {head}1 warning in 1 policy\n"));
        assert_eq!(output(9, 1), format!("p.yaml:9:1: {head}1 warning in 1 policy\n"));
    }
}
