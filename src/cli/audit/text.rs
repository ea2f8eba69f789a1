//! The report for a terminal.

use crate::cli::page::{BAD, DOUBTFUL, FAINT, GOOD, painted};
use apportion_audit::Report;
use apportion_audit::render::figure::{advice, hours, money, percent, scope, sparkline};
use apportion_audit::render::figure::{short, summary};
use apportion_audit::report::Usage;

/// Rows of a table at most; the rest is in the other forms.
const ROWS: usize = 20;
/// Characters of a sparkline.
const SPARK: usize = 24;
const WIDTH: usize = 110;

/// The report as text, with colours.
pub fn text(report: &Report) -> String {
    let mut page = String::new();
    let mut line = |text: &str| {
        page.push_str(text.trim_end());
        page.push('\n');
    };
    for sentence in summary(report) {
        line(&sentence);
    }
    let unit = report.currency.as_deref().unwrap_or("");
    let wasted = format!("WASTED {unit}");
    let mut table = Table::new(&[
        "NAMESPACE",
        "POLICY",
        "GPU H",
        "MEAN",
        "P95",
        "IDLE H",
        &wasted,
        "VALUES",
        "TREND",
    ]);
    for row in report.namespaces.iter().take(ROWS) {
        let mut cells = vec![row.namespace.clone(), row.policy.clone().unwrap_or("-".to_owned())];
        cells.extend(usage(&row.usage));
        cells.extend([scope(row.scope).to_owned(), sparkline(&row.usage.trend, SPARK)]);
        table.row(cells);
    }
    table.print(report.namespaces.len(), &mut line);
    let mut table = Table::new(&[
        "WORKLOAD", "SHARING", "GPU H", "MEAN", "P95", "IDLE H", &wasted, "VALUES", "TREND",
    ]);
    for row in report.workloads.iter().take(ROWS) {
        let sharing = if row.strategies.is_empty() {
            "?".to_owned()
        } else {
            row.strategies.join(", ")
        };
        let mut cells = vec![format!("{}/{}", row.namespace, row.workload), sharing];
        cells.extend(usage(&row.usage));
        cells.extend([scope(row.scope).to_owned(), sparkline(&row.usage.trend, SPARK)]);
        table.row(cells);
    }
    table.print(report.workloads.len(), &mut line);
    let mut table = Table::new(&[
        "NODE", "GPU", "GPU H", "MEAN", "P95", "IDLE H", &wasted, "SHARING", "TREND",
    ]);
    let mut gpus: Vec<_> = report.gpus.iter().collect();
    gpus.sort_by(|a, b| b.usage.idle_hours.total_cmp(&a.usage.idle_hours));
    for row in gpus.iter().take(ROWS) {
        let device = match (&row.profile, &row.instance) {
            (Some(profile), Some(instance)) => format!("{} {profile}/{instance}", short(&row.uuid)),
            _ => short(&row.uuid),
        };
        let mut cells = vec![row.node.clone(), device];
        cells.extend(usage(&row.usage));
        cells.extend([
            row.strategy.unwrap_or("?").to_owned(),
            sparkline(&row.usage.trend, SPARK),
        ]);
        table.row(cells);
    }
    table.print(report.gpus.len(), &mut line);
    line("");
    line(&painted(anstyle::Style::new().bold(), "RECOMMENDED"));
    for row in report.workloads.iter().filter(|row| row.advice.strategy.is_some()) {
        let style = if row.advice.change { DOUBTFUL } else { GOOD };
        let saves = if row.advice.change {
            let amount = row
                .advice
                .saving
                .map_or(String::new(), |_| format!(", {} {unit}", money(row.advice.saving)));
            format!("; saves {} GPU hours{amount}", hours(row.advice.saving_hours))
        } else {
            String::new()
        };
        let head = format!("  {}/{}: {}{saves}", row.namespace, row.workload, advice(&row.advice));
        line(&painted(style, &head));
        for part in wrapped(&row.advice.because, WIDTH - 6) {
            line(&painted(FAINT, &format!("      {part}")));
        }
    }
    for how in report.namespaces.iter().filter_map(|row| row.how.as_ref()) {
        line(&format!("  {how}"));
    }
    if !report.unseen.is_empty() {
        line("");
        line(&painted(anstyle::Style::new().bold(), "NOT SEEN"));
        for gap in &report.unseen {
            for (at, part) in wrapped(&gap.to_string(), WIDTH - 4).iter().enumerate() {
                line(&painted(
                    BAD,
                    &format!("{}{part}", if at == 0 { "  - " } else { "    " }),
                ));
            }
        }
    }
    page
}

/// Hours, mean, percentile, idle hours, money.
fn usage(usage: &Usage) -> [String; 5] {
    [
        hours(usage.gpu_hours),
        percent(usage.mean_percent),
        percent(usage.p95_percent),
        hours(usage.idle_hours),
        money(usage.wasted),
    ]
}

/// Lines of at most `width` characters, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A table: two columns of words, five of figures, then words again.
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        Table {
            head: head.iter().map(|cell| cell.trim().to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn print(self, of: usize, line: &mut impl FnMut(&str)) {
        if self.rows.is_empty() {
            return;
        }
        let widths: Vec<usize> = (0..self.head.len())
            .map(|at| {
                let cells = self.rows.iter().map(|row| row[at].chars().count());
                cells.chain([self.head[at].chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let shown = |cells: &[String]| {
            let cells = cells.iter().enumerate().map(|(at, cell)| {
                let width = widths[at];
                if (2..7).contains(&at) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:width$}")
                }
            });
            cells.collect::<Vec<_>>().join("  ")
        };
        line("");
        line(&painted(anstyle::Style::new().bold(), shown(&self.head).trim_end()));
        for row in &self.rows {
            line(&shown(row));
        }
        if of > self.rows.len() {
            line(&painted(
                FAINT,
                &format!("and {} more: --output json has them all", of - self.rows.len()),
            ));
        }
    }
}
