//! The report for a browser: one file that needs nothing else, and that says first what a manager asks first.
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is written once, and its code should look like the page"
)]

use super::chart::{area, escaped};
use super::figure::{advice, hours, money, part, percent};
use super::style::STYLE;
use super::table::{self, ROWS};
use crate::Report;
use crate::report::{NamespaceRow, WorkloadRow};

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
    page.push_str(&table::namespaces(report));
    page.push_str(&table::workloads(report));
    page.push_str(&table::gpus(report));
    page.push_str(&notes(report));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// The currency, or nothing.
pub fn unit(report: &Report) -> String {
    report.currency.as_deref().map(escaped).unwrap_or_default()
}

fn workloads(count: usize) -> String {
    format!("{count} workload{}", if count == 1 { "" } else { "s" })
}

fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}

fn head(report: &Report) -> String {
    let (total, usage, unit) = (&report.total, &report.total.usage, unit(report));
    let mut cards = vec![
        (
            "",
            percent(usage.mean_percent),
            "of GPU time used on average".to_owned(),
        ),
        (
            "idle",
            part(usage.idle_hours, usage.gpu_hours),
            format!(
                "idle: {} of {} GPU hours",
                hours(usage.idle_hours),
                hours(usage.gpu_hours)
            ),
        ),
    ];
    if let (Some(cost), Some(wasted)) = (usage.cost, usage.wasted) {
        cards.push((
            "idle",
            money(Some(wasted)),
            format!("{unit} spent on idle hours, of {} in all", money(Some(cost))),
        ));
    }
    let changes = report.workloads.iter().filter(|row| row.advice.change).count();
    cards.push(match total.saving {
        Some(saving) => (
            "good",
            money(Some(saving)),
            format!("{unit} that sharing {} otherwise would save", workloads(changes)),
        ),
        None => (
            "good",
            hours(total.saving_hours),
            format!("GPU hours that sharing {} otherwise would save", workloads(changes)),
        ),
    });
    cards.push((
        "",
        total.gpus.to_string(),
        format!("GPUs, seen as {} devices", total.devices),
    ));
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
            format!(
                "<span><i style=\"background:var({color})\"></i>{what}: {} h ({})</span>",
                hours(*value),
                part(*value, all)
            )
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
    let amount = |row: &NamespaceRow| {
        if by_money {
            row.usage.wasted.unwrap_or(0.0)
        } else {
            row.usage.idle_hours
        }
    };
    let total = &report.total;
    let nobodys = if by_money {
        total.idle_unheld_cost.unwrap_or(0.0)
    } else {
        total.idle_unheld_hours
    };
    let mut rows: Vec<(String, f64, &str)> = vec![("<i>held by no known pod</i>".to_owned(), nobodys, "--free")];
    rows.extend(
        report
            .namespaces
            .iter()
            .map(|row| (escaped(&row.namespace), amount(row), "--idle")),
    );
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
    let what = if by_money {
        "What idle hours cost, by namespace"
    } else {
        "Idle GPU hours, by namespace"
    };
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
            (true, saving) => format!(
                "saves {} {unit} ({} GPU hours)",
                money(saving),
                hours(advised.saving_hours)
            ),
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

fn notes(report: &Report) -> String {
    if report.unseen.is_empty() {
        return String::new();
    }
    let list: String = report
        .unseen
        .iter()
        .map(|gap| format!("<li>{}</li>\n", escaped(&gap.to_string())))
        .collect();
    format!("<h2>What was not seen</h2>\n<ul class=\"gaps\">\n{list}</ul>\n")
}
