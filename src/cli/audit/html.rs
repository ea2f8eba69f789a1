//! The report for a browser: one file that needs nothing else, and that says first what a manager asks first.

use super::chart::{area, escaped, heat, spark};
use super::figure::{advice, gibibytes, hours, money, part, percent, scope};
use super::style::STYLE;
use super::text::short;
use crate::audit::Report;
use crate::audit::report::{GpuRow, NamespaceRow, WorkloadRow};

/// Rows of a table at most: a browser does not bear tens of thousands of pictures.
const ROWS: usize = 200;
/// Bars at most.
const BARS: usize = 12;

/// The report as HTML.
pub fn html(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>GPU audit</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    page.push_str(&head(report));
    page.push_str(&time(report));
    page.push_str(&wasters(report));
    page.push_str(&recommendations(report));
    page.push_str(&namespaces(report));
    page.push_str(&workloads(report));
    page.push_str(&gpus(report));
    page.push_str(&notes(report));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn unit(report: &Report) -> String {
    report.currency.as_deref().map(escaped).unwrap_or_default()
}

fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}

fn head(report: &Report) -> String {
    let (total, usage, unit) = (&report.total, &report.total.usage, unit(report));
    let mut cards = vec![
        ("", percent(usage.mean_percent), "of GPU time used on average".to_owned()),
        (
            "idle",
            part(usage.idle_hours, usage.gpu_hours),
            format!("idle: {} of {} GPU hours", hours(usage.idle_hours), hours(usage.gpu_hours)),
        ),
    ];
    if let (Some(cost), Some(wasted)) = (usage.cost, usage.wasted) {
        cards.push(("idle", money(Some(wasted)), format!("{unit} spent on idle hours, of {} in all", money(Some(cost)))));
    }
    let changes = report.workloads.iter().filter(|row| row.advice.change).count();
    cards.push(match total.saving {
        Some(saving) => ("good", money(Some(saving)), format!("{unit} that sharing {changes} workloads otherwise would save")),
        None => (
            "good",
            hours(total.saving_hours),
            format!("GPU hours that sharing {changes} workloads otherwise would save"),
        ),
    });
    cards.push(("", total.gpus.to_string(), format!("GPUs, seen as {} devices", total.devices)));
    let cards: String = cards
        .iter()
        .map(|(class, figure, what)| format!("<div class=\"card {class}\"><b>{figure}</b><span>{what}</span></div>\n"))
        .collect();
    let busy = (usage.gpu_hours - usage.idle_hours).max(0.0);
    let unheld = total.idle_unheld_hours.min(usage.idle_hours);
    let parts = [
        ("--busy", "busy", busy),
        ("--idle", "held by a pod, and idle", usage.idle_hours - unheld),
        ("--free", "idle, and nobody is known to have held it", unheld),
    ];
    format!(
        "<h1>GPU audit</h1>\n<p class=\"faint\">{} to {} ({} hours). A GPU is idle while its utilization is below {} %.</p>\n<div class=\"cards\">\n{cards}</div>\n<h2>Where the GPU hours went</h2>\n{}",
        escaped(&report.window.start),
        escaped(&report.window.end),
        hours(report.window.hours),
        report.window.idle_below_percent,
        stack(&parts, usage.gpu_hours)
    )
}

/// A bar of parts, and what they mean.
fn stack(parts: &[(&str, &str, f64)], all: f64) -> String {
    let width = |value: f64| if all > 0.0 { value / all * 100.0 } else { 0.0 };
    let bar: String = parts
        .iter()
        .map(|(color, _, value)| format!("<i style=\"width:{:.2}%;background:var({color})\"></i>", width(*value)))
        .collect();
    let key: String = parts
        .iter()
        .map(|(color, what, value)| {
            format!("<span><i style=\"background:var({color})\"></i>{what}: {} h ({})</span>", hours(*value), part(*value, all))
        })
        .collect();
    format!("<div class=\"stack\">{bar}</div>\n<div class=\"key\">{key}</div>\n")
}

fn time(report: &Report) -> String {
    let usage = &report.total.usage;
    if usage.trend.iter().all(Option::is_none) {
        return String::new();
    }
    format!(
        "<h2>Utilization of all GPUs over time</h2>\n<div class=\"plot\"><div class=\"y\"><span>100 %</span><span>50 %</span><span>0 %</span></div>{}<div class=\"x\"><span>{}</span><span>{}</span></div></div>\n",
        area(&usage.trend, "Utilization of all GPUs over time"),
        escaped(day(&report.window.start)),
        escaped(day(&report.window.end))
    )
}

fn wasters(report: &Report) -> String {
    let unit = unit(report);
    let by_money = report.currency.is_some();
    let amount = |row: &NamespaceRow| if by_money { row.usage.wasted.unwrap_or(0.0) } else { row.usage.idle_hours };
    let total = &report.total;
    let nobodys = if by_money { total.idle_unheld_cost.unwrap_or(0.0) } else { total.idle_unheld_hours };
    let mut rows: Vec<(String, f64, &str)> = vec![("<i>held by no known pod</i>".to_owned(), nobodys, "--free")];
    rows.extend(report.namespaces.iter().map(|row| (escaped(&row.namespace), amount(row), "--idle")));
    rows.retain(|(_, amount, _)| *amount > 0.0);
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows.truncate(BARS);
    let Some(most) = rows.iter().map(|row| row.1).reduce(f64::max) else {
        return String::new();
    };
    let bars: String = rows
        .iter()
        .map(|(name, amount, color)| {
            let shown = if by_money {
                format!("{} {unit}", money(Some(*amount)))
            } else {
                format!("{} h", hours(*amount))
            };
            format!(
                "<div><div class=\"name\">{name}</div><div class=\"bar\"><i style=\"width:{:.2}%;background:var({color})\"></i></div><div class=\"n\">{shown}</div></div>\n",
                amount / most * 100.0
            )
        })
        .collect();
    let what = if by_money { "What idle hours cost, by namespace" } else { "Idle GPU hours, by namespace" };
    format!("<h2>{what}</h2>\n<div class=\"bars\">\n{bars}</div>\n")
}

fn recommendations(report: &Report) -> String {
    let unit = unit(report);
    let mut text = String::from("<h2>What to change</h2>\n");
    let (change, keep): (Vec<&WorkloadRow>, Vec<&WorkloadRow>) = report
        .workloads
        .iter()
        .filter(|row| row.advice.strategy.is_some())
        .partition(|row| row.advice.change);
    if change.is_empty() {
        text.push_str("<p>No workload should be shared otherwise than it is.</p>\n");
    }
    for row in change.iter().chain(&keep).take(ROWS) {
        let advised = &row.advice;
        let saves = match (advised.change, advised.saving) {
            (false, _) => String::new(),
            (true, None) => format!("saves {} GPU hours", hours(advised.saving_hours)),
            (true, saving) => format!("saves {} {unit} ({} GPU hours)", money(saving), hours(advised.saving_hours)),
        };
        text.push_str(&format!(
            "<div class=\"advice{}\"><div class=\"top\"><b>{}/{}: {}</b><span>{saves}</span></div><p class=\"faint\">{}</p></div>\n",
            if advised.change { "" } else { " keep" },
            escaped(&row.namespace),
            escaped(&row.workload),
            escaped(&advice(advised)),
            escaped(&advised.because)
        ));
    }
    let hows: String = report
        .namespaces
        .iter()
        .filter_map(|row| row.how.as_ref())
        .map(|how| {
            let shown = escaped(how);
            let shown = match shown.split_once("kubectl ") {
                Some((before, command)) => format!("{before}<code>kubectl {command}</code>"),
                None => shown,
            };
            format!("<li>{shown}</li>\n")
        })
        .collect();
    if !hows.is_empty() {
        text.push_str(&format!("<ul class=\"how\">\n{hows}</ul>\n"));
    }
    text
}

/// A table with figures in the columns from `first` to `last`.
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
            text: format!("<h2>{title}</h2>\n<p class=\"faint\">{note}</p>\n<div class=\"scroll\"><table>\n<tr>{cells}</tr>\n"),
        }
    }

    fn row(&mut self, cells: &[(&str, String)]) {
        let cells: String = cells.iter().map(|(class, cell)| format!("<td class=\"{class}\">{cell}</td>")).collect();
        self.text.push_str(&format!("<tr>{cells}</tr>\n"));
    }

    fn done(mut self, of: usize) -> String {
        self.text.push_str("</table></div>\n");
        if of > ROWS {
            self.text
                .push_str(&format!("<p class=\"faint\">and {} more: <code>--output json</code> has them all</p>\n", of - ROWS));
        }
        self.text
    }
}

fn namespaces(report: &Report) -> String {
    let cost = format!("Idle, {}", unit(report));
    let mut table = Table::new(
        "Namespaces",
        "GPU hours are hours of whole GPUs: a MIG device or a share counts for its part. Utilization was below p95 for 95 % of the time.",
        &[
            ("Namespace", false), ("GPU hours", true), ("Mean", true), ("p95", true), ("Idle hours", true), (&cost, true),
            ("Over time", false),
        ],
    );
    for row in report.namespaces.iter().take(ROWS) {
        let (usage, name) = (&row.usage, escaped(&row.namespace));
        let policy = row.policy.as_ref().map_or("no policy".to_owned(), |policy| format!("policy {}", escaped(policy)));
        table.row(&[
            ("name", format!("{name}<small>{policy}</small>")),
            ("n", hours(usage.gpu_hours)),
            ("n", percent(usage.mean_percent)),
            ("n", percent(usage.p95_percent)),
            ("n", hours(usage.idle_hours)),
            ("n", money(usage.wasted)),
            ("trend", spark(&usage.trend, &format!("Utilization of {}", row.namespace))),
        ]);
    }
    table.done(report.namespaces.len())
}

fn workloads(report: &Report) -> String {
    let cost = format!("Idle, {}", unit(report));
    let mut table = Table::new(
        "Workloads",
        "Where a device was shared and only the device was measured, a value is not the workload's own, and says so.",
        &[
            ("Workload", false), ("Held", false), ("GPU hours", true), ("Mean", true), ("p95", true), ("Idle hours", true),
            (&cost, true), ("GiB at most", true), ("Values", false), ("Over time", false),
        ],
    );
    for row in report.workloads.iter().take(ROWS) {
        let usage = &row.usage;
        let sharing = if row.strategies.is_empty() { "not known how".to_owned() } else { row.strategies.join(", ") };
        table.row(&[
            ("name", format!("{}<small>{}, {}</small>", escaped(&row.workload), escaped(&row.namespace), pods(row.pods))),
            ("", format!("{}<small>{}</small>", escaped(&sharing), escaped(&row.products.join(", ")))),
            ("n", hours(usage.gpu_hours)),
            ("n", percent(usage.mean_percent)),
            ("n", percent(usage.p95_percent)),
            ("n", hours(usage.idle_hours)),
            ("n", money(usage.wasted)),
            ("n", format!("{}<small>of {}</small>", gibibytes(usage.memory_peak_mebibytes), gibibytes(row.memory_total_mebibytes))),
            ("", format!("<span class=\"tag\">{}</span>", escaped(scope(row.scope)))),
            ("trend", spark(&usage.trend, &format!("Utilization of {}/{}", row.namespace, row.workload))),
        ]);
    }
    table.done(report.workloads.len())
}

fn pods(count: usize) -> String {
    format!("{count} pod{}", if count == 1 { "" } else { "s" })
}

fn gpus(report: &Report) -> String {
    let cost = format!("Idle, {}", unit(report));
    let mut table = Table::new(
        "GPUs",
        "The darker a strip, the busier the device was then; plain where nothing was seen.",
        &[
            ("Device", false), ("Sharing", false), ("Seen", true), ("Mean", true), ("p95", true), ("Idle hours", true), (&cost, true),
            ("GiB at most", true), ("Over time", false),
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
        let kind = [row.product.as_deref(), row.profile.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let instance = row.instance.as_ref().map_or(String::new(), |instance| format!(" MIG {instance}"));
        let device = format!("{}{instance}", short(&row.uuid));
        table.row(&[
            ("name", format!("{} {}<small>{}</small>", escaped(&row.node), escaped(&device), escaped(&kind))),
            ("", row.strategy.unwrap_or("not known").to_owned()),
            ("n", format!("{:.0} %", row.seen_part * 100.0)),
            ("n", percent(usage.mean_percent)),
            ("n", percent(usage.p95_percent)),
            ("n", hours(usage.idle_hours)),
            ("n", money(usage.wasted)),
            ("n", format!("{}<small>of {}</small>", gibibytes(usage.memory_peak_mebibytes), gibibytes(row.memory_total_mebibytes))),
            ("trend", heat(&usage.trend, &format!("Utilization of {} on {}", row.uuid, row.node))),
        ]);
    }
    table.done(report.gpus.len())
}

fn notes(report: &Report) -> String {
    if report.unseen.is_empty() {
        return String::new();
    }
    let list: String = report.unseen.iter().map(|gap| format!("<li>{}</li>\n", escaped(&gap.to_string()))).collect();
    format!("<h2>What was not seen</h2>\n<ul class=\"gaps\">\n{list}</ul>\n")
}
