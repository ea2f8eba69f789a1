//! The answer as a person reads it.

use crate::cli::page::{BAD, DOUBTFUL, FAINT, GOOD, Page};
use apportion_analysis::replay::report::{Change, Outcome, Report};

/// The whole answer.
pub fn text(report: &Report) -> String {
    let mut page = Page::default();
    page.field(
        "Pods",
        &format!("{} with GPUs; {} stay as they are", report.pods, report.unchanged),
    );
    let (mine, before): (Vec<&Change>, Vec<&Change>) = report
        .changes
        .iter()
        .partition(|change| change.same_under_old != Some(true));
    changes(&mut page, "Denied", &mine, Outcome::Denied);
    changes(&mut page, "Changed", &mine, Outcome::Changed);
    changes(&mut page, "Moved", &mine, Outcome::Moved);
    if !before.is_empty() {
        page.gap();
        page.field(
            "Not new",
            "the present policies would do the same if these pods were made again now",
        );
        for change in before {
            one(&mut page, "", change);
        }
    }
    if !report.missing.is_empty() {
        page.gap();
        let rows: Vec<[String; 1]> = report
            .missing
            .iter()
            .map(|missing| {
                let strategy = missing.strategy.unwrap_or("no strategy");
                let s = if missing.pods == 1 { "" } else { "s" };
                [format!(
                    "{} {} ({strategy}) for {} pod{s}",
                    missing.shares, missing.resource, missing.pods
                )]
            })
            .collect();
        page.styled_table("Missing", &rows, &vec![DOUBTFUL; rows.len()]);
    }
    page.gap();
    let (style, words) = match (report.is_finding(), report.changes.is_empty()) {
        (true, _) => (BAD, "some pods would be denied, or find no place"),
        (false, true) => (GOOD, "nothing changes"),
        (false, false) => (GOOD, "all that changes fits"),
    };
    page.styled_field("In all", style, words);
    if !report.changes.is_empty() {
        page.styled_field(
            "",
            FAINT,
            "A running pod keeps what it has until it is made again. Which pods come first, and what else arrives, is not known here.",
        );
    }
    page.into_text()
}

fn changes(page: &mut Page, label: &str, changes: &[&Change], outcome: Outcome) {
    let mut label = label;
    for change in changes.iter().filter(|change| change.outcome == outcome) {
        if !label.is_empty() {
            page.gap();
        }
        one(page, label, change);
        label = "";
    }
}

fn one(page: &mut Page, label: &str, change: &Change) {
    let s = if change.pods == 1 { "" } else { "s" };
    let to = match (&change.to, change.outcome) {
        (_, Outcome::Moved) => "can not stay on its node".to_owned(),
        (Some(to), _) => format!("-> {to}"),
        (None, _) => "-> denied".to_owned(),
    };
    let head = format!(
        "{}/{} ({} pod{s}): {} {to}",
        change.namespace, change.workload, change.pods, change.from
    );
    let style = match (change.outcome, change.without_place) {
        (Outcome::Denied, _) => BAD,
        (_, 0) => GOOD,
        _ => DOUBTFUL,
    };
    page.styled_field(label, style, &head);
    page.styled_field("", FAINT, &change.because);
    match change.without_place {
        0 => {}
        1 if change.pods == 1 => page.styled_field("", DOUBTFUL, "no place for it"),
        lost if lost == change.pods => page.styled_field("", DOUBTFUL, "no place for any of them"),
        lost => page.styled_field("", DOUBTFUL, &format!("no place for {lost} of them")),
    }
    if !change.restored {
        page.styled_field("", FAINT, "judged as it is: what its owner wrote is not known");
    }
}
