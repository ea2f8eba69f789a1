//! The tables of the HTML report.
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is written once, and its code should look like the page"
)]

use super::chart::{escaped, heat, spark};
use super::figure::short;
use super::figure::{gibibytes, hours, money, percent, scope};
use super::html::unit;
use crate::Report;
use crate::report::GpuRow;

/// Rows of a table at most: a browser does not bear tens of thousands of pictures.
pub const ROWS: usize = 200;

/// A table that scrolls by itself where the page is narrow.
struct Table {
    text: String,
}

impl Table {
    fn new(title: &str, note: &str, head: &[(&str, bool)]) -> Self {
        let cells: String = head
            .iter()
            .map(|(cell, figure)| format!("<th{}>{cell}</th>", if *figure { " class=\"n\"" } else { "" }))
            .collect();
        Table {
            text: format!(
                "<h2>{title}</h2>\n<p class=\"faint\">{note}</p>\n<div class=\"scroll\"><table>\n<tr>{cells}</tr>\n"
            ),
        }
    }

    fn row(&mut self, cells: &[(&str, String)]) {
        let cells: String = cells
            .iter()
            .map(|(class, cell)| format!("<td class=\"{class}\">{cell}</td>"))
            .collect();
        self.text.push_str(&format!("<tr>{cells}</tr>\n"));
    }

    fn done(mut self, of: usize) -> String {
        self.text.push_str("</table></div>\n");
        if of > ROWS {
            self.text.push_str(&format!(
                "<p class=\"faint\">and {} more: <code>--output json</code> has them all</p>\n",
                of - ROWS
            ));
        }
        self.text
    }
}

/// Namespaces, with their policies.
pub fn namespaces(report: &Report) -> String {
    let cost = format!("Idle, {}", unit(report));
    let mut table = Table::new(
        "Namespaces",
        "GPU hours are hours of whole GPUs: a MIG device or a share counts for its part. Utilization was below p95 for 95 % of the time.",
        &[
            ("Namespace", false),
            ("GPU hours", true),
            ("Mean", true),
            ("p95", true),
            ("Idle hours", true),
            (&cost, true),
            ("Over time", false),
        ],
    );
    for row in report.namespaces.iter().take(ROWS) {
        let (usage, name) = (&row.usage, escaped(&row.namespace));
        let policy = row
            .policy
            .as_ref()
            .map_or("no policy".to_owned(), |policy| format!("policy {}", escaped(policy)));
        table.row(&[
            ("name", format!("{name}<small>{policy}</small>")),
            ("n", hours(usage.gpu_hours)),
            ("n", percent(usage.mean_percent)),
            ("n", percent(usage.p95_percent)),
            ("n", hours(usage.idle_hours)),
            ("n", money(usage.wasted)),
            (
                "trend",
                spark(&usage.trend, &format!("Utilization of {}", row.namespace)),
            ),
        ]);
    }
    table.done(report.namespaces.len())
}

/// Workloads.
pub fn workloads(report: &Report) -> String {
    let cost = format!("Idle, {}", unit(report));
    let mut table = Table::new(
        "Workloads",
        "Where a device was shared and only the device was measured, a value is not the workload's own, and says so.",
        &[
            ("Workload", false),
            ("Held", false),
            ("GPU hours", true),
            ("Mean", true),
            ("p95", true),
            ("Idle hours", true),
            (&cost, true),
            ("GiB at most", true),
            ("Values", false),
            ("Over time", false),
        ],
    );
    for row in report.workloads.iter().take(ROWS) {
        let usage = &row.usage;
        let sharing = if row.strategies.is_empty() {
            "not known how".to_owned()
        } else {
            row.strategies.join(", ")
        };
        table.row(&[
            (
                "name",
                format!(
                    "{}<small>{}, {}</small>",
                    escaped(&row.workload),
                    escaped(&row.namespace),
                    pods(row.pods)
                ),
            ),
            (
                "",
                format!(
                    "{}<small>{}</small>",
                    escaped(&sharing),
                    escaped(&row.products.join(", "))
                ),
            ),
            ("n", hours(usage.gpu_hours)),
            ("n", percent(usage.mean_percent)),
            ("n", percent(usage.p95_percent)),
            ("n", hours(usage.idle_hours)),
            ("n", money(usage.wasted)),
            (
                "n",
                format!(
                    "{}<small>of {}</small>",
                    gibibytes(usage.memory_peak_mebibytes),
                    gibibytes(row.memory_total_mebibytes)
                ),
            ),
            ("", format!("<span class=\"tag\">{}</span>", escaped(scope(row.scope)))),
            (
                "trend",
                spark(
                    &usage.trend,
                    &format!("Utilization of {}/{}", row.namespace, row.workload),
                ),
            ),
        ]);
    }
    table.done(report.workloads.len())
}

fn pods(count: usize) -> String {
    format!("{count} pod{}", if count == 1 { "" } else { "s" })
}

/// Devices.
pub fn gpus(report: &Report) -> String {
    let cost = format!("Idle, {}", unit(report));
    let mut table = Table::new(
        "GPUs",
        "The stronger the colour of a strip, the busier the device was then; plain where nothing was seen.",
        &[
            ("Device", false),
            ("Sharing", false),
            ("Seen", true),
            ("Mean", true),
            ("p95", true),
            ("Idle hours", true),
            (&cost, true),
            ("GiB at most", true),
            ("Over time", false),
        ],
    );
    let mut rows: Vec<&GpuRow> = report.gpus.iter().collect();
    if rows.len() > ROWS {
        // Where not all are shown, the idlest are.
        rows.sort_by(|a, b| b.usage.idle_hours.total_cmp(&a.usage.idle_hours));
        rows.truncate(ROWS);
    }
    for row in rows {
        let usage = &row.usage;
        let kind = [row.product.as_deref(), row.profile.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
        let instance = row
            .instance
            .as_ref()
            .map_or(String::new(), |instance| format!(" MIG {instance}"));
        let device = format!("{}{instance}", short(&row.uuid));
        table.row(&[
            (
                "name",
                format!(
                    "{} {}<small>{}</small>",
                    escaped(&row.node),
                    escaped(&device),
                    escaped(&kind)
                ),
            ),
            ("", row.strategy.unwrap_or("not known").to_owned()),
            ("n", format!("{:.0} %", row.seen_part * 100.0)),
            ("n", percent(usage.mean_percent)),
            ("n", percent(usage.p95_percent)),
            ("n", hours(usage.idle_hours)),
            ("n", money(usage.wasted)),
            (
                "n",
                format!(
                    "{}<small>of {}</small>",
                    gibibytes(usage.memory_peak_mebibytes),
                    gibibytes(row.memory_total_mebibytes)
                ),
            ),
            (
                "trend",
                heat(&usage.trend, &format!("Utilization of {} on {}", row.uuid, row.node)),
            ),
        ]);
    }
    table.done(report.gpus.len())
}
