//! The report as text.

use crate::cli::page::{BAD, DOUBTFUL, FAINT, GOOD, Page};
use apportion_analysis::replay::report::{Change, ChangeKind, Report};
use apportion_core::diagnostics::counted;

pub fn text(report: &Report) -> String {
    let mut page = Page::default();
    page.field(
        "Pods",
        &format!("{} with GPUs; {} unchanged", report.pods, report.unchanged),
    );
    let (new, not_new): (Vec<&Change>, Vec<&Change>) = report
        .changes
        .iter()
        .partition(|change| change.same_under_old != Some(true));
    changes(&mut page, "Denied", &new, ChangeKind::Denied);
    changes(&mut page, "Changed", &new, ChangeKind::Changed);
    changes(&mut page, "Moved", &new, ChangeKind::Moved);
    if !not_new.is_empty() {
        page.gap();
        page.field(
            "Not new",
            "the present policies would do the same if these pods were recreated now",
        );
        for change in not_new {
            change_of_pods(&mut page, "", change);
        }
    }
    if !report.missing.is_empty() {
        page.gap();
        let rows: Vec<[String; 1]> = report
            .missing
            .iter()
            .map(|missing| {
                let strategy = missing.strategy.unwrap_or("no strategy");
                [format!(
                    "{} {} ({strategy}) for {}",
                    missing.shares,
                    missing.resource,
                    counted(missing.pods, "pod")
                )]
            })
            .collect();
        page.styled_table("Missing", &rows, &vec![DOUBTFUL; rows.len()]);
    }
    page.gap();
    let (style, words) = match (report.is_finding(), report.changes.is_empty()) {
        (true, _) => (BAD, "some pods would be denied or would fit on no node"),
        (false, true) => (GOOD, "nothing changes"),
        (false, false) => (GOOD, "all changed pods fit"),
    };
    page.styled_field("Summary", style, words);
    if !report.changes.is_empty() {
        page.styled_field(
            "",
            FAINT,
            "A running pod keeps its GPUs until it is recreated. The order in which pods are recreated, and which other pods arrive, are unknown here.",
        );
    }
    page.into_text()
}

fn changes(page: &mut Page, label: &str, changes: &[&Change], kind: ChangeKind) {
    let mut label = label;
    for change in changes.iter().filter(|change| change.kind == kind) {
        if !label.is_empty() {
            page.gap();
        }
        change_of_pods(page, label, change);
        label = "";
    }
}

fn change_of_pods(page: &mut Page, label: &str, change: &Change) {
    let to = match (&change.to, change.kind) {
        (_, ChangeKind::Moved) => "cannot stay on its node".to_owned(),
        (Some(to), _) => format!("-> {to}"),
        (None, _) => "-> denied".to_owned(),
    };
    let head = format!(
        "{}/{} ({}): {} {to}",
        change.namespace,
        change.workload,
        counted(change.pods, "pod"),
        change.from
    );
    let style = match (change.kind, change.without_place) {
        (ChangeKind::Denied, _) => BAD,
        (_, 0) => GOOD,
        _ => DOUBTFUL,
    };
    page.styled_field(label, style, &head);
    page.styled_field("", FAINT, &change.because);
    match change.without_place {
        0 => {}
        1 if change.pods == 1 => page.styled_field("", DOUBTFUL, "would fit on no node"),
        pods if pods == change.pods => page.styled_field("", DOUBTFUL, "none of them would fit on any node"),
        pods => page.styled_field("", DOUBTFUL, &format!("{pods} of them would fit on no node")),
    }
    if !change.restored {
        page.styled_field(
            "",
            FAINT,
            "the original request is unknown, so the running one is replayed",
        );
    }
}
