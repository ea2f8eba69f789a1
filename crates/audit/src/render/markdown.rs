//! The report as Markdown, for issues, chats and wikis.

use std::fmt::Write as _;

use super::format::{gibibytes, hours, money, percent, ratio, recommendation, scope, sparkline, summary};
use crate::Report;

/// The characters of a sparkline.
const SPARKLINE_WIDTH: usize = 14;

pub fn markdown(report: &Report) -> String {
    let unit = report.currency.as_deref().unwrap_or("-");
    let mut page = String::from("# GPU audit\n\n");
    for sentence in summary(report) {
        let _ = writeln!(page, "- {}", escape(&sentence));
    }
    table(
        &mut page,
        "Namespaces",
        &[
            "Namespace",
            "Policy",
            "GPU h",
            "Mean",
            "p95",
            "Idle h",
            "Idle",
            unit,
            "Values",
            "Over time",
            "Action",
        ],
        report.namespaces.iter().map(|row| {
            let usage = &row.usage;
            vec![
                row.namespace.clone(),
                row.policy.clone().unwrap_or_default(),
                hours(usage.gpu_hours),
                percent(usage.mean_percent),
                percent(usage.p95_percent),
                hours(usage.idle_hours),
                ratio(usage.idle_hours, usage.gpu_hours),
                money(usage.idle_cost),
                scope(row.scope).to_owned(),
                sparkline(&usage.timeline, SPARKLINE_WIDTH),
                row.action.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]
        }),
    );
    table(
        &mut page,
        "Workloads",
        &[
            "Workload",
            "Sharing",
            "GPU h",
            "Mean",
            "p95",
            "Idle h",
            unit,
            "Peak GiB",
            "Values",
            "Recommended",
            "Saves h",
            "Saves",
            "Reason",
        ],
        report.workloads.iter().map(|row| {
            let usage = &row.usage;
            vec![
                format!("{}/{}", row.namespace, row.workload),
                row.strategies.join(", "),
                hours(usage.gpu_hours),
                percent(usage.mean_percent),
                percent(usage.p95_percent),
                hours(usage.idle_hours),
                money(usage.idle_cost),
                gibibytes(usage.memory_peak_mebibytes),
                scope(row.scope).to_owned(),
                recommendation(&row.recommendation),
                hours(row.recommendation.saving_hours),
                money(row.recommendation.saving),
                row.recommendation.reason.clone(),
            ]
        }),
    );
    table(
        &mut page,
        "GPUs",
        &[
            "Node",
            "GPU",
            "Product",
            "Sharing",
            "GPU h",
            "Mean",
            "p95",
            "Idle h",
            unit,
            "Peak GiB",
            "of GiB",
            "Over time",
        ],
        report.gpus.iter().map(|row| {
            let usage = &row.usage;
            let instance = row
                .instance
                .as_ref()
                .map_or(String::new(), |instance| format!(" MIG {instance}"));
            vec![
                row.node.clone(),
                format!("{}{instance}", row.uuid),
                [row.product.as_deref(), row.profile.as_deref()]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" "),
                row.strategy.unwrap_or("unknown").to_owned(),
                hours(usage.gpu_hours),
                percent(usage.mean_percent),
                percent(usage.p95_percent),
                hours(usage.idle_hours),
                money(usage.idle_cost),
                gibibytes(usage.memory_peak_mebibytes),
                gibibytes(row.memory_total_mebibytes),
                sparkline(&usage.timeline, SPARKLINE_WIDTH),
            ]
        }),
    );
    if !report.missing_data.is_empty() {
        page.push_str("\n## Missing data\n\n");
        for entry in &report.missing_data {
            let _ = writeln!(page, "- {}", escape(&entry.to_string()));
        }
    }
    page
}

fn table(page: &mut String, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rule = "---|".repeat(head.len());
    let _ = writeln!(page, "\n## {title}\n\n| {} |\n|{rule}", head.join(" | "));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escape(cell)).collect();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}

/// Escapes text for a table cell. Names come from the cluster, and must not start a cell, a tag or a
/// link.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => safe.extend(['\\', c]),
            '<' => safe.push_str("&lt;"),
            '\n' | '\r' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_become_markup() {
        assert_eq!(escape("a|b_c [x](y)\n<i>"), r"a\|b\_c \[x\](y) &lt;i>");
    }
}
