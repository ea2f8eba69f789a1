//! The tables of the HTML report.

use maud::{Markup, html};

use super::svg::{heat, spark};
use crate::Report;
use crate::render::format::{gibibytes, hours, money, percent, scope, short_uuid};
use crate::report::{GpuRow, NamespaceRow, Usage, WorkloadRow};
use apportion_core::diagnostics::counted;

/// The most rows of a table. Browsers become slow with tens of thousands of charts.
pub(super) const MAX_ROWS: usize = 200;

/// A table that scrolls horizontally on its own if the page is narrow. `head` holds the titles of
/// the columns and whether each is numeric; `total` is the number of rows without the limit.
fn table(title: &str, note: &str, head: &[(&str, bool)], rows: &[Markup], total: usize) -> Markup {
    html! {
        h2 { (title) }
        p.faint { (note) }
        div.scroll {
            table {
                tr {
                    @for (cell, numeric) in head {
                        th.n[*numeric] { (cell) }
                    }
                }
                @for row in rows {
                    (row)
                }
            }
        }
        @if total > rows.len() {
            p.faint { "and " (total - rows.len()) " more: " code { "--output json" } " has them all" }
        }
    }
}

fn idle_cost_title(report: &Report) -> String {
    format!("Idle, {}", report.currency.as_deref().unwrap_or_default())
}

/// Mean, p95, idle hours and idle cost.
fn usage_cells(usage: &Usage) -> Markup {
    html! {
        td.n { (percent(usage.mean_percent)) }
        td.n { (percent(usage.p95_percent)) }
        td.n { (hours(usage.idle_hours)) }
        td.n { (money(usage.idle_cost)) }
    }
}

fn memory_cell(peak: Option<f64>, total: Option<f64>) -> Markup {
    html! {
        td.n { (gibibytes(peak)) small { "of " (gibibytes(total)) } }
    }
}

pub(super) fn namespaces(report: &Report) -> Markup {
    let cost = idle_cost_title(report);
    let row = |row: &NamespaceRow| {
        html! {
            tr {
                td.name {
                    (row.namespace)
                    small {
                        @match &row.policy {
                            Some(policy) => { "policy " (policy) },
                            None => "no policy",
                        }
                    }
                }
                td.n { (hours(row.usage.gpu_hours)) }
                (usage_cells(&row.usage))
                td.trend { (spark(&row.usage.timeline, &format!("Utilization of {}", row.namespace))) }
            }
        }
    };
    let rows: Vec<Markup> = report.namespaces.iter().take(MAX_ROWS).map(row).collect();
    table(
        "Namespaces",
        "GPU hours are hours of whole GPUs: a MIG device or a share counts as a fraction. Utilization was below p95 for 95 % of the time.",
        &[
            ("Namespace", false),
            ("GPU hours", true),
            ("Mean", true),
            ("p95", true),
            ("Idle hours", true),
            (&cost, true),
            ("Over time", false),
        ],
        &rows,
        report.namespaces.len(),
    )
}

pub(super) fn workloads(report: &Report) -> Markup {
    let cost = idle_cost_title(report);
    let row = |row: &WorkloadRow| {
        let label = format!("Utilization of {}/{}", row.namespace, row.workload);
        html! {
            tr {
                td.name {
                    (row.workload)
                    small { (row.namespace) ", " (counted(row.pods, "pod")) }
                }
                td {
                    @if row.strategies.is_empty() { "unknown" } @else { (row.strategies.join(", ")) }
                    small { (row.products.join(", ")) }
                }
                td.n { (hours(row.usage.gpu_hours)) }
                (usage_cells(&row.usage))
                (memory_cell(row.usage.memory_peak_mebibytes, row.memory_total_mebibytes))
                td { span.tag { (scope(row.scope)) } }
                td.trend { (spark(&row.usage.timeline, &label)) }
            }
        }
    };
    let rows: Vec<Markup> = report.workloads.iter().take(MAX_ROWS).map(row).collect();
    table(
        "Workloads",
        "Values are those of the whole device if the device was shared and only the device was measured. The column Values says so.",
        &[
            ("Workload", false),
            ("Sharing", false),
            ("GPU hours", true),
            ("Mean", true),
            ("p95", true),
            ("Idle hours", true),
            (&cost, true),
            ("Peak GiB", true),
            ("Values", false),
            ("Over time", false),
        ],
        &rows,
        report.workloads.len(),
    )
}

pub(super) fn gpus(report: &Report) -> Markup {
    let cost = idle_cost_title(report);
    let mut shown: Vec<&GpuRow> = report.gpus.iter().collect();
    if shown.len() > MAX_ROWS {
        // If only some are shown, show those with the most idle hours.
        shown.sort_by(|a, b| b.usage.idle_hours.total_cmp(&a.usage.idle_hours));
        shown.truncate(MAX_ROWS);
    }
    let row = |row: &&GpuRow| {
        let kind: Vec<&str> = [row.product.as_deref(), row.profile.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        html! {
            tr {
                td.name {
                    (row.node) " " (short_uuid(&row.uuid))
                    @if let Some(instance) = &row.instance { " MIG " (instance) }
                    small { (kind.join(" ")) }
                }
                td { (row.strategy.unwrap_or("unknown")) }
                td.n { (percent(Some(row.sampled_fraction * 100.0))) }
                (usage_cells(&row.usage))
                (memory_cell(row.usage.memory_peak_mebibytes, row.memory_total_mebibytes))
                td.trend { (heat(&row.usage.timeline, &format!("Utilization of {} on {}", row.uuid, row.node))) }
            }
        }
    };
    let rows: Vec<Markup> = shown.iter().map(row).collect();
    table(
        "GPUs",
        "The stronger the color of a strip, the busier the device. Parts without samples are plain.",
        &[
            ("Device", false),
            ("Sharing", false),
            ("Sampled", true),
            ("Mean", true),
            ("p95", true),
            ("Idle hours", true),
            (&cost, true),
            ("Peak GiB", true),
            ("Over time", false),
        ],
        &rows,
        report.gpus.len(),
    )
}
