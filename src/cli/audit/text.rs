//! The report for a terminal.

use std::fmt::Write as _;

use crate::cli::page::{BAD, DOUBTFUL, FAINT, GOOD, columns, painted, wrapped};
use anstyle::Style;
use apportion_audit::Report;
use apportion_audit::render::format::{hours, money, percent, recommendation, scope, short_uuid, sparkline, summary};
use apportion_audit::report::{GpuRow, NamespaceRow, Usage, WorkloadRow};

/// The most rows of a table; JSON has all.
const MAX_ROWS: usize = 20;
/// The characters of a sparkline.
const SPARKLINE_WIDTH: usize = 24;
const WIDTH: usize = 110;
const BOLD: Style = Style::new().bold();

/// The report as text, with colors.
pub(super) fn text(report: &Report) -> String {
    let mut lines = summary(report);
    tables(report, &mut lines);
    recommendations(report, &mut lines);
    missing_data(report, &mut lines);
    let lines = lines.iter().map(|line| line.trim_end());
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn tables(report: &Report, lines: &mut Vec<String>) {
    let idle_cost = format!("IDLE {}", report.currency.as_deref().unwrap_or("COST"));
    let head = |[name, kind]: [&str; 2], [values, timeline]: [&str; 2]| -> Vec<String> {
        let cost = idle_cost.as_str();
        [name, kind, "GPU H", "MEAN", "P95", "IDLE H", cost, values, timeline]
            .map(str::to_owned)
            .to_vec()
    };
    let namespaces = report.namespaces.iter().take(MAX_ROWS).map(|row: &NamespaceRow| {
        let policy = row.policy.clone().unwrap_or_else(|| "-".to_owned());
        cells([row.namespace.clone(), policy], &row.usage, scope(row.scope))
    });
    table(
        head(["NAMESPACE", "POLICY"], ["VALUES", "OVER TIME"]),
        namespaces,
        report.namespaces.len(),
        lines,
    );
    let workloads = report.workloads.iter().take(MAX_ROWS).map(|row: &WorkloadRow| {
        let sharing = if row.strategies.is_empty() {
            "unknown".to_owned()
        } else {
            row.strategies.join(", ")
        };
        let name = format!("{}/{}", row.namespace, row.workload);
        cells([name, sharing], &row.usage, scope(row.scope))
    });
    table(
        head(["WORKLOAD", "SHARING"], ["VALUES", "OVER TIME"]),
        workloads,
        report.workloads.len(),
        lines,
    );
    let mut gpus: Vec<&GpuRow> = report.gpus.iter().collect();
    gpus.sort_by(|a, b| b.usage.idle_hours.total_cmp(&a.usage.idle_hours));
    let gpus = gpus.into_iter().take(MAX_ROWS).map(|row| {
        let device = match (&row.profile, &row.instance) {
            (Some(profile), Some(instance)) => format!("{} {profile}/{instance}", short_uuid(&row.uuid)),
            _ => short_uuid(&row.uuid),
        };
        cells(
            [row.node.clone(), device],
            &row.usage,
            row.strategy.unwrap_or("unknown"),
        )
    });
    table(
        head(["NODE", "GPU"], ["SHARING", "OVER TIME"]),
        gpus,
        report.gpus.len(),
        lines,
    );
}

/// A row of any of the tables.
fn cells(name: [String; 2], usage: &Usage, values: &str) -> Vec<String> {
    let numbers = [
        hours(usage.gpu_hours),
        percent(usage.mean_percent),
        percent(usage.p95_percent),
        hours(usage.idle_hours),
        money(usage.idle_cost),
    ];
    let last = [values.to_owned(), sparkline(&usage.timeline, SPARKLINE_WIDTH)];
    name.into_iter().chain(numbers).chain(last).collect()
}

/// `total` is the number of rows without the limit. Writes nothing if there are no rows.
fn table(head: Vec<String>, rows: impl Iterator<Item = Vec<String>>, total: usize, lines: &mut Vec<String>) {
    if total == 0 {
        return;
    }
    lines.push(String::new());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let shown = rows.len() - 1;
    for (index, line) in columns(&rows, 2..7).iter().enumerate() {
        lines.push(if index == 0 { painted(BOLD, line) } else { line.clone() });
    }
    if total > shown {
        let more = format!("and {} more: --output json has them all", total - shown);
        lines.push(painted(FAINT, &more));
    }
}

fn recommendations(report: &Report, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(painted(BOLD, "RECOMMENDED"));
    let currency = report.currency.as_deref().unwrap_or_default();
    for row in &report.workloads {
        let advised = &row.recommendation;
        if advised.strategy.is_none() {
            continue;
        }
        let mut head = format!("  {}/{}: {}", row.namespace, row.workload, recommendation(advised));
        if advised.change {
            let _ = write!(head, "; saves {} GPU hours", hours(advised.saving_hours));
            if advised.saving.is_some() {
                let _ = write!(head, ", {} {currency}", money(advised.saving));
            }
        }
        let style = if advised.change { DOUBTFUL } else { GOOD };
        lines.push(painted(style, &head));
        for line in wrapped(&advised.reason, WIDTH - 6) {
            lines.push(painted(FAINT, &format!("      {line}")));
        }
    }
    for action in report.namespaces.iter().filter_map(|row| row.action.as_ref()) {
        lines.push(format!("  {action}"));
    }
}

fn missing_data(report: &Report, lines: &mut Vec<String>) {
    if report.missing_data.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(painted(BOLD, "MISSING DATA"));
    for entry in &report.missing_data {
        let mut bullet = "  - ";
        for line in wrapped(&entry.to_string(), WIDTH - 4) {
            lines.push(painted(BAD, &format!("{bullet}{line}")));
            bullet = "    ";
        }
    }
}
