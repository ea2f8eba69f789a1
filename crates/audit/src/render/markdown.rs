//! The report for issues, chats and wikis.
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is written once, and its code should look like the page"
)]

use super::figure::summary;
use super::figure::{advice, gibibytes, hours, money, part, percent, scope, sparkline};
use crate::Report;

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let unit = report.currency.as_deref().unwrap_or("-");
    let mut page = String::from("# GPU audit\n\n");
    for sentence in summary(report) {
        page.push_str(&format!("- {}\n", escaped(&sentence)));
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
            "Values are",
            "Trend",
            "To do",
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
                part(usage.idle_hours, usage.gpu_hours),
                money(usage.wasted),
                scope(row.scope).to_owned(),
                sparkline(&usage.trend, 14),
                row.how.clone().unwrap_or_default(),
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
            "GiB at most",
            "Values are",
            "Recommended",
            "Saves h",
            "Saves",
            "Because",
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
                money(usage.wasted),
                gibibytes(usage.memory_peak_mebibytes),
                scope(row.scope).to_owned(),
                advice(&row.advice),
                hours(row.advice.saving_hours),
                money(row.advice.saving),
                row.advice.because.clone(),
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
            "GiB at most",
            "of GiB",
            "Trend",
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
                row.strategy.unwrap_or("?").to_owned(),
                hours(usage.gpu_hours),
                percent(usage.mean_percent),
                percent(usage.p95_percent),
                hours(usage.idle_hours),
                money(usage.wasted),
                gibibytes(usage.memory_peak_mebibytes),
                gibibytes(row.memory_total_mebibytes),
                sparkline(&usage.trend, 14),
            ]
        }),
    );
    if !report.unseen.is_empty() {
        page.push_str("\n## Not seen\n\n");
        for gap in &report.unseen {
            page.push_str(&format!("- {}\n", escaped(&gap.to_string())));
        }
    }
    page
}

fn table(page: &mut String, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    page.push_str(&format!(
        "\n## {title}\n\n| {} |\n|{}\n",
        head.join(" | "),
        "---|".repeat(head.len())
    ));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        page.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

/// Names come from a cluster: none of them may begin a cell, a tag or a link.
fn escaped(text: &str) -> String {
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
