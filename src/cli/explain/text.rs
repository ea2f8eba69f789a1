//! A report as a person reads it: at most a hundred columns, a label in front of each part.

use crate::cli::page::{BAD, DOUBTFUL, FAINT, GOOD, Page};
use apportion_analysis::explain::diff;
use apportion_analysis::explain::diff::Line;
use apportion_analysis::explain::nodes::{Fit, Nodes};
use apportion_analysis::explain::report::{Report, Resources, Way, WayVerdict};
use apportion_mig::memory::MiB;

/// All reports, one below the other.
pub fn text(reports: &[Report]) -> anyhow::Result<String> {
    let mut page = Page::default();
    for (at, report) in reports.iter().enumerate() {
        if at > 0 {
            page.rule();
        }
        head(&mut page, report);
        demand(&mut page, report);
        considered(&mut page, &report.considered);
        outcome(&mut page, report);
        if let Some((before, after)) = &report.documents {
            change(&mut page, watched(report), &diff::unified(before, after)?);
        }
        if let Some(nodes) = &report.nodes {
            fits(&mut page, report, nodes);
        }
    }
    Ok(page.into_text())
}

fn head(page: &mut Page, report: &Report) {
    let name = format!("{}/{}", report.namespace, report.pod);
    if report.workload.kind == "Pod" {
        page.field("Pod", &name);
    } else {
        let origin = format!("{} {}", report.workload.kind, report.workload.name);
        let count = match report.workload.replicas {
            None => String::new(),
            Some(1) => ", one at a time".to_owned(),
            Some(count) => format!(", {count} at a time"),
        };
        page.field("Pods", &format!("{name} of {origin}{count}"));
    }
    page.field("From", &report.source);
    let governance = &report.governance;
    let governor = match (&governance.policy, governance.mode) {
        (Some(policy), Some("Enforce")) => policy.clone(),
        (Some(policy), Some(mode)) => format!("{policy}, in mode {mode}: nothing is changed"),
        _ => "no policy".to_owned(),
    };
    page.field("Governed by", &governor);
    page.more(&governance.because);
    if let Some(promised) = &governance.limits
        && let Some(words) = &promised.words
    {
        let held = if watched(report).is_some() { "would be: " } else { "" };
        page.field("Promised", &format!("{held}{words}"));
        if promised.tenants == "Apart" {
            page.more(&format!("its tenant is {}", promised.tenant));
        }
    }
}

fn demand(page: &mut Page, report: &Report) {
    let asked = &report.demand;
    let mut rows: Vec<[String; 2]> = asked
        .containers
        .iter()
        .map(|container| [container.name.clone(), listed(&container.before)])
        .collect();
    match &asked.unreadable {
        Some(error) => page.styled_field("Asks for", BAD, &format!("what can not be read: {error}")),
        None if rows.is_empty() => page.field("Asks for", "no GPU"),
        None => {}
    }
    if rows.len() > 1 {
        rows.push(["at once".to_owned(), listed(&asked.effective)]);
    }
    if let Some(memory) = asked.memory_mebibytes {
        rows.push([
            "memory".to_owned(),
            format!("{} of GPU memory a container", MiB(memory)),
        ]);
    }
    page.table("Asks for", &rows);
}

/// A row for each way. What is refused again and again for one reason is said once: a policy may list a dozen profiles.
fn considered(page: &mut Page, ways: &[Way]) {
    let mut rows: Vec<[String; 3]> = Vec::new();
    let mut styles = Vec::new();
    let mut ways = ways.iter().peekable();
    while let Some(way) = ways.next() {
        rows.push([way.strategy.to_owned(), naming(way).to_owned(), came(way)]);
        styles.push(if way.taken { GOOD } else { FAINT });
        let mut alike = 0;
        while ways.next_if(|next| refused_alike(way, next)).is_some() {
            alike += 1;
        }
        if alike > 0 {
            let reason = "no, for the same reason".to_owned();
            rows.push([way.strategy.to_owned(), format!("{alike} more"), reason]);
            styles.push(FAINT);
        }
    }
    page.styled_table("Considered", &rows, &styles);
}

fn naming(way: &Way) -> &str {
    way.naming.as_deref().unwrap_or("-")
}

fn came(way: &Way) -> String {
    let came = match way.verdict {
        WayVerdict::Conforms => "what the pod asks for already".to_owned(),
        WayVerdict::Free => "free".to_owned(),
        WayVerdict::Busy => "all taken".to_owned(),
        WayVerdict::Delegated => "left to DRA: what is free there is not known here".to_owned(),
        WayVerdict::Closed => "on nodes alone that take no pods now".to_owned(),
        WayVerdict::Absent => "on no node that the pod may run on".to_owned(),
        WayVerdict::Refused => format!("no: {}", way.reason.as_deref().unwrap_or_default()),
    };
    if way.taken { format!("{came}  <- taken") } else { came }
}

/// Whether both are refused, and the reasons differ in the names of their schemes alone.
fn refused_alike(one: &Way, other: &Way) -> bool {
    let nameless = |way: &Way| way.reason.as_deref().map(|reason| reason.replace(naming(way), ""));
    one.verdict == WayVerdict::Refused
        && other.verdict == WayVerdict::Refused
        && one.strategy == other.strategy
        && nameless(one) == nameless(other)
}

fn outcome(page: &mut Page, report: &Report) {
    let outcome = &report.outcome;
    let mode = report.governance.mode.unwrap_or_default();
    let (style, words) = match outcome.result {
        "ungoverned" => (FAINT, "passes untouched".to_owned()),
        "unchanged" => (GOOD, "stays as it is".to_owned()),
        "rewritten" => (GOOD, "rewritten".to_owned()),
        "would_rewrite" => (
            DOUBTFUL,
            format!("stays as it is, since the mode is {mode}; would be rewritten"),
        ),
        "would_deny" => (DOUBTFUL, format!("admitted, since the mode is {mode}; would be denied")),
        "unknown_refused" => (BAD, "refused until this is mended".to_owned()),
        _ if outcome.admitted => (GOOD, outcome.result.replace('_', " ")),
        _ => (BAD, "denied".to_owned()),
    };
    page.styled_field("Outcome", style, &words);
    page.more(&outcome.because);
    for container in &report.demand.containers {
        if let Some(after) = container.after.as_ref().filter(|after| **after != container.before) {
            page.more(&format!(
                "{}: {} -> {}",
                container.name,
                listed(&container.before),
                listed(after)
            ));
        }
    }
    if outcome.admitted && !report.isolation.hidden.is_empty() {
        let hidden = report.isolation.hidden.join(", ");
        page.more(&format!("{hidden}: kept from the GPUs of the node"));
    }
    for warning in &outcome.warnings {
        page.styled_field("Warning", DOUBTFUL, warning);
    }
}

/// The mode of a policy that only watches.
fn watched(report: &Report) -> Option<&'static str> {
    report.governance.mode.filter(|mode| *mode != "Enforce")
}

fn change(page: &mut Page, watched: Option<&str>, lines: &[Line]) {
    let made = watched.map_or_else(String::new, |mode| format!("not made, since the mode is {mode}"));
    page.field("Change", &made);
    for line in lines {
        match line {
            Line::Header(text) => page.verbatim(FAINT, text),
            Line::Same(text) => page.verbatim(anstyle::Style::new(), &format!(" {text}")),
            Line::Removed(text) => page.verbatim(BAD, &format!("-{text}")),
            Line::Added(text) => page.verbatim(GOOD, &format!("+{text}")),
        }
    }
}

fn fits(page: &mut Page, report: &Report, nodes: &Nodes) {
    let (style, words) = match (nodes.fitting.len(), nodes.full.len()) {
        (0, 0) => (BAD, "none can ever hold it".to_owned()),
        (0, _) => (DOUBTFUL, "none can hold it now".to_owned()),
        (count, _) => {
            let room = match nodes.room {
                0 => "as far as DRA has any".to_owned(),
                1 => "with room for one such pod".to_owned(),
                room => format!("with room for {room} such pods"),
            };
            let short = report.workload.replicas.is_some_and(|replicas| replicas > nodes.room);
            let verb = if count == 1 { "fits" } else { "fit" };
            let style = if short { DOUBTFUL } else { GOOD };
            (style, format!("{count} {verb} now, {room}"))
        }
    };
    let when = if watched(report).is_some() { "if changed, " } else { "" };
    page.styled_field("Nodes", style, &format!("{when}{words}"));
    let mut rows: Vec<[String; 3]> = Vec::new();
    rows.extend(nodes.fitting.iter().map(|fit| row("fits", fit)));
    rows.extend(nodes.full.iter().map(|fit| row("full", fit)));
    page.table("", &rows);
    for group in &nodes.unfit {
        page.count(group.nodes.len(), &group.reason, &group.nodes);
    }
}

fn row(verdict: &str, fit: &Fit) -> [String; 3] {
    let shares: Vec<String> = fit
        .shares
        .iter()
        .map(|share| {
            let name = share
                .resource
                .split_once('/')
                .map_or(&*share.resource, |(_, name)| name);
            format!("{} of {} {name} free", share.free, share.total)
        })
        .collect();
    // What is free says nothing where a limit is in the way.
    let limited = fit
        .reason
        .iter()
        .filter(|_| fit.shares.iter().all(|share| share.free >= share.needs));
    let shares: Vec<String> = shares.into_iter().chain(limited.cloned()).collect();
    let what: Vec<&str> = fit.product.as_deref().into_iter().chain(fit.strategy).collect();
    let shares = if shares.is_empty() {
        "by DRA".to_owned()
    } else {
        shares.join(", ")
    };
    [format!("{verdict}  {}", fit.name), shares, what.join(", ")]
}

fn listed(resources: &Resources) -> String {
    let each: Vec<String> = resources
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    each.join(" + ")
}
