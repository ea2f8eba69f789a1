//! The report as one self-contained HTML file. It starts with the numbers that a manager asks for.

mod svg;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::tables::MAX_ROWS;
use super::format::{hours, money, percent, ratio, recommendation};
use crate::Report;
use crate::report::{NamespaceRow, WorkloadRow};
use apportion_core::diagnostics::counted;

/// Colours are defined once per colour scheme, and nothing is loaded from elsewhere.
const STYLE: &str = include_str!("style.css");
/// The most bars of the chart of idle hours by namespace.
const MAX_BARS: usize = 12;

pub fn html(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { "GPU audit" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (summary(report))
                    (utilization(report))
                    (idle_by_namespace(report))
                    (recommendations(report))
                    (tables::namespaces(report))
                    (tables::workloads(report))
                    (tables::gpus(report))
                    (missing_data(report))
                }
            }
        }
    };
    page.into_string() + "\n"
}

fn currency(report: &Report) -> &str {
    report.currency.as_deref().unwrap_or_default()
}

fn summary(report: &Report) -> Markup {
    let (total, usage, currency) = (&report.total, &report.total.usage, currency(report));
    let changes = report.workloads.iter().filter(|row| row.recommendation.change).count();
    let workloads = counted(changes, "workload");
    let (saving, saving_unit) = match total.saving {
        Some(saving) => (money(Some(saving)), currency),
        None => (hours(total.saving_hours), "GPU hours"),
    };
    html! {
        h1 { "GPU audit" }
        p.faint {
            (report.window.start) " to " (report.window.end) " (" (hours(report.window.hours))
            " hours). A GPU is idle while its utilization is below " (report.window.idle_below_percent) " %."
        }
        div.cards {
            div.card { b { (percent(usage.mean_percent)) } span { "of GPU time used on average" } }
            div.card.idle {
                b { (ratio(usage.idle_hours, usage.gpu_hours)) }
                span { "idle: " (hours(usage.idle_hours)) " of " (hours(usage.gpu_hours)) " GPU hours" }
            }
            @if let (Some(cost), Some(idle_cost)) = (usage.cost, usage.idle_cost) {
                div.card.idle {
                    b { (money(Some(idle_cost))) }
                    span { (currency) " spent on idle hours, of " (money(Some(cost))) " in total" }
                }
            }
            div.card.good {
                b { (saving) }
                span { (saving_unit) " saved if " (workloads) " shared GPUs as recommended" }
            }
            div.card { b { (total.gpus) } span { "GPUs, seen as " (total.devices) " devices" } }
        }
        h2 { "Where the GPU hours went" }
        (gpu_hours(report))
    }
}

/// A stacked bar of busy, idle and unallocated hours, with its legend.
fn gpu_hours(report: &Report) -> Markup {
    let (total, usage) = (&report.total, &report.total.usage);
    let busy = (usage.gpu_hours - usage.idle_hours).max(0.0);
    let unallocated = total.idle_unallocated_hours.min(usage.idle_hours);
    let parts = [
        ("--busy", "busy", busy),
        ("--idle", "idle, held by a pod", usage.idle_hours - unallocated),
        ("--free", "idle, not known to be held by a pod", unallocated),
    ];
    let percent = |value: f64| {
        if usage.gpu_hours > 0.0 {
            value / usage.gpu_hours * 100.0
        } else {
            0.0
        }
    };
    html! {
        div.stack {
            @for (colour, _, value) in &parts {
                i style=(format_args!("width:{:.2}%;background:var({colour})", percent(*value))) {}
            }
        }
        div.key {
            @for (colour, label, value) in &parts {
                span {
                    i style=(format_args!("background:var({colour})")) {}
                    (label) ": " (hours(*value)) " h (" (ratio(*value, usage.gpu_hours)) ")"
                }
            }
        }
    }
}

fn utilization(report: &Report) -> Markup {
    let timeline = &report.total.usage.timeline;
    // Only the date of an RFC 3339 time.
    let day = |time: &str| time.split('T').next().unwrap_or_default().to_owned();
    html! {
        @if timeline.iter().any(Option::is_some) {
            h2 { "Utilization of all GPUs over time" }
            div.plot {
                div.y { span { "100 %" } span { "50 %" } span { "0 %" } }
                (svg::area(timeline, "Utilization of all GPUs over time"))
                div.x { span { (day(&report.window.start)) } span { (day(&report.window.end)) } }
            }
        }
    }
}

fn idle_by_namespace(report: &Report) -> Markup {
    struct Bar<'a> {
        /// `None` stands for the hours that no pod is known to have held.
        namespace: Option<&'a str>,
        amount: f64,
    }
    let by_cost = report.currency.is_some();
    let amount = |row: &NamespaceRow| {
        if by_cost {
            row.usage.idle_cost.unwrap_or(0.0)
        } else {
            row.usage.idle_hours
        }
    };
    let unallocated = if by_cost {
        report.total.idle_unallocated_cost.unwrap_or(0.0)
    } else {
        report.total.idle_unallocated_hours
    };
    let mut bars = vec![Bar {
        namespace: None,
        amount: unallocated,
    }];
    bars.extend(report.namespaces.iter().map(|row| Bar {
        namespace: Some(&row.namespace),
        amount: amount(row),
    }));
    bars.retain(|bar| bar.amount > 0.0);
    bars.sort_by(|a, b| b.amount.total_cmp(&a.amount));
    bars.truncate(MAX_BARS);
    let Some(most) = bars.first().map(|bar| bar.amount) else {
        return Markup::default();
    };
    html! {
        h2 { @if by_cost { "Cost of idle hours by namespace" } @else { "Idle GPU hours by namespace" } }
        div.bars {
            @for bar in &bars {
                @let colour = if bar.namespace.is_some() { "--idle" } else { "--free" };
                div {
                    div.name {
                        @match bar.namespace {
                            Some(namespace) => (namespace),
                            None => i { "not known to be held by a pod" },
                        }
                    }
                    div.bar {
                        i style=(format_args!("width:{:.2}%;background:var({colour})", bar.amount / most * 100.0)) {}
                    }
                    div.n {
                        @if by_cost {
                            (money(Some(bar.amount))) " " (currency(report))
                        } @else {
                            (hours(bar.amount)) " h"
                        }
                    }
                }
            }
        }
    }
}

fn recommendations(report: &Report) -> Markup {
    let (change, keep): (Vec<&WorkloadRow>, Vec<&WorkloadRow>) = report
        .workloads
        .iter()
        .filter(|row| row.recommendation.strategy.is_some())
        .partition(|row| row.recommendation.change);
    let saving = |row: &WorkloadRow| {
        let hours = hours(row.recommendation.saving_hours);
        match (row.recommendation.change, row.recommendation.saving) {
            (false, _) => String::new(),
            (true, None) => format!("saves {hours} GPU hours"),
            (true, saving) => format!("saves {} {} ({hours} GPU hours)", money(saving), currency(report)),
        }
    };
    let actions = || report.namespaces.iter().filter_map(|row| row.action.as_ref());
    html! {
        h2 { "What to change" }
        @if change.is_empty() {
            p { "No workload should share GPUs differently." }
        }
        @for row in change.iter().chain(&keep).take(MAX_ROWS) {
            div.advice.keep[!row.recommendation.change] {
                div.top {
                    b { (row.namespace) "/" (row.workload) ": " (recommendation(&row.recommendation)) }
                    span { (saving(row)) }
                }
                p.faint { (row.recommendation.reason) }
            }
        }
        @if actions().next().is_some() {
            ul.how {
                @for action in actions() {
                    @let (step, command) = action.step_and_command();
                    li {
                        @if let Some(step) = step {
                            (step)
                            @if command.is_some() { "; then run " }
                        }
                        @if let Some(command) = command { code { (command) } }
                    }
                }
            }
        }
    }
}

fn missing_data(report: &Report) -> Markup {
    html! {
        @if !report.missing_data.is_empty() {
            h2 { "Missing data" }
            ul.gaps {
                @for entry in &report.missing_data {
                    li { (entry) }
                }
            }
        }
    }
}
