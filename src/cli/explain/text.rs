//! Reports as text of at most a hundred columns, with a label in front of each part.

use crate::cli::page::{BAD, DOUBTFUL, FAINT, GOOD, Page};
use apportion_analysis::explain::diff::{self, Line};
use apportion_analysis::explain::node_fit::{CandidateNode, NodeFit};
use apportion_analysis::explain::report::{Candidate, CandidateStatus, Report, Resources};
use apportion_mig::memory::MiB;

pub fn text(reports: &[Report]) -> anyhow::Result<String> {
    let mut page = Page::default();
    for (at, report) in reports.iter().enumerate() {
        if at > 0 {
            page.rule();
        }
        header(&mut page, report);
        demand(&mut page, report);
        considered(&mut page, &report.considered);
        outcome(&mut page, report);
        if let Some((before, after)) = &report.documents {
            change(&mut page, unenforced_mode(report), &diff::unified(before, after)?);
        }
        if let Some(nodes) = &report.nodes {
            node_fit(&mut page, report, nodes);
        }
    }
    Ok(page.into_text())
}

fn header(page: &mut Page, report: &Report) {
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
        (Some(policy), Some(mode)) => format!("{policy}, in mode {mode}: the pod is not changed"),
        _ => "no policy".to_owned(),
    };
    page.field("Governed by", &governor);
    page.more(&governance.because);
    if let Some(limits) = &governance.limits
        && let Some(summary) = &limits.summary
    {
        let would_be = if unenforced_mode(report).is_some() {
            "would be: "
        } else {
            ""
        };
        page.field("Guaranteed", &format!("{would_be}{summary}"));
        if limits.tenants == "Apart" {
            page.more(&format!("its tenant is {}", limits.tenant));
        }
    }
}

fn demand(page: &mut Page, report: &Report) {
    let demand = &report.demand;
    let mut rows: Vec<[String; 2]> = demand
        .containers
        .iter()
        .map(|container| [container.name.clone(), joined(&container.before)])
        .collect();
    match &demand.unreadable {
        Some(error) => page.styled_field("Asks for", BAD, &format!("unreadable: {error}")),
        None if rows.is_empty() => page.field("Asks for", "no GPU"),
        None => {}
    }
    if rows.len() > 1 {
        rows.push(["effective".to_owned(), joined(&demand.effective)]);
    }
    if let Some(memory) = demand.memory_mebibytes {
        rows.push([
            "memory".to_owned(),
            format!("{} of GPU memory per container", MiB(memory)),
        ]);
    }
    page.table("Asks for", &rows);
}

/// A row for each candidate. Candidates that are refused for the same reason share a row, because a
/// policy may list a dozen profiles.
fn considered(page: &mut Page, candidates: &[Candidate]) {
    let mut rows: Vec<[String; 3]> = Vec::new();
    let mut styles = Vec::new();
    let mut candidates = candidates.iter().peekable();
    while let Some(candidate) = candidates.next() {
        rows.push([
            candidate.strategy.to_owned(),
            naming(candidate).to_owned(),
            status(candidate),
        ]);
        styles.push(if candidate.taken { GOOD } else { FAINT });
        let mut others = 0;
        while candidates.next_if(|next| have_same_refusal(candidate, next)).is_some() {
            others += 1;
        }
        if others > 0 {
            let reason = "no, for the same reason".to_owned();
            rows.push([candidate.strategy.to_owned(), format!("{others} more"), reason]);
            styles.push(FAINT);
        }
    }
    page.styled_table("Considered", &rows, &styles);
}

fn naming(candidate: &Candidate) -> &str {
    candidate.naming.as_deref().unwrap_or("-")
}

fn status(candidate: &Candidate) -> String {
    let status = match candidate.status {
        CandidateStatus::Conforms => "the pod already requests it".to_owned(),
        CandidateStatus::Free => "free".to_owned(),
        CandidateStatus::Busy => "all taken".to_owned(),
        CandidateStatus::Delegated => "left to DRA: how much is free is unknown".to_owned(),
        CandidateStatus::Closed => "only on nodes that accept no pods now".to_owned(),
        CandidateStatus::Absent => "on no node where the pod may run".to_owned(),
        CandidateStatus::Refused => format!("no: {}", candidate.reason.as_deref().unwrap_or_default()),
    };
    if candidate.taken {
        format!("{status}  <- chosen")
    } else {
        status
    }
}

/// Whether both are refused, for reasons that differ only in the names of their resources.
fn have_same_refusal(one: &Candidate, other: &Candidate) -> bool {
    let nameless = |candidate: &Candidate| {
        let reason = candidate.reason.as_deref()?;
        Some(reason.replace(naming(candidate), ""))
    };
    one.status == CandidateStatus::Refused
        && other.status == CandidateStatus::Refused
        && one.strategy == other.strategy
        && nameless(one) == nameless(other)
}

fn outcome(page: &mut Page, report: &Report) {
    let outcome = &report.outcome;
    let mode = report.governance.mode.unwrap_or_default();
    let (style, words) = match outcome.result {
        "ungoverned" => (FAINT, "admitted unchanged".to_owned()),
        "unchanged" => (GOOD, "unchanged".to_owned()),
        "rewritten" => (GOOD, "rewritten".to_owned()),
        "would_rewrite" => (
            DOUBTFUL,
            format!("unchanged, because the mode is {mode}; would be rewritten"),
        ),
        "would_deny" => (
            DOUBTFUL,
            format!("admitted, because the mode is {mode}; would be denied"),
        ),
        "unknown_refused" => (BAD, "refused until this is fixed".to_owned()),
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
                joined(&container.before),
                joined(after)
            ));
        }
    }
    if outcome.admitted && !report.isolation.hidden.is_empty() {
        let hidden = report.isolation.hidden.join(", ");
        page.more(&format!("{hidden}: cannot see the node's GPUs"));
    }
    for warning in &outcome.warnings {
        page.styled_field("Warning", DOUBTFUL, warning);
    }
}

/// The mode of the policy, unless it is Enforce.
fn unenforced_mode(report: &Report) -> Option<&'static str> {
    report.governance.mode.filter(|mode| *mode != "Enforce")
}

fn change(page: &mut Page, unenforced_mode: Option<&str>, lines: &[Line]) {
    let note = unenforced_mode.map_or_else(String::new, |mode| format!("not applied, because the mode is {mode}"));
    page.field("Change", &note);
    for line in lines {
        match line {
            Line::Header(text) => page.verbatim(FAINT, text),
            Line::Context(text) => page.verbatim(anstyle::Style::new(), &format!(" {text}")),
            Line::Removed(text) => page.verbatim(BAD, &format!("-{text}")),
            Line::Added(text) => page.verbatim(GOOD, &format!("+{text}")),
        }
    }
}

fn node_fit(page: &mut Page, report: &Report, nodes: &NodeFit) {
    let (style, words) = match (nodes.fitting.len(), nodes.full.len()) {
        (0, 0) => (BAD, "none can run it, even if no other pod ran".to_owned()),
        (0, _) => (DOUBTFUL, "none can run it now".to_owned()),
        (count, _) => {
            let room = match nodes.room {
                0 => "if DRA has free devices".to_owned(),
                1 => "with room for one such pod".to_owned(),
                room => format!("with room for {room} such pods"),
            };
            let short = report.workload.replicas.is_some_and(|replicas| replicas > nodes.room);
            let verb = if count == 1 { "fits" } else { "fit" };
            let style = if short { DOUBTFUL } else { GOOD };
            (style, format!("{count} {verb} now, {room}"))
        }
    };
    let condition = if unenforced_mode(report).is_some() {
        "if changed, "
    } else {
        ""
    };
    page.styled_field("Nodes", style, &format!("{condition}{words}"));
    let mut rows: Vec<[String; 3]> = Vec::new();
    rows.extend(nodes.fitting.iter().map(|node| row("fits", node)));
    rows.extend(nodes.full.iter().map(|node| row("full", node)));
    page.table("", &rows);
    for group in &nodes.unfit {
        page.count(group.nodes.len(), &group.reason, &group.nodes);
    }
}

fn row(status: &str, node: &CandidateNode) -> [String; 3] {
    let shares: Vec<String> = node
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
    // Enough is free, so the reason is a limit.
    let limited = node
        .reason
        .iter()
        .filter(|_| node.shares.iter().all(|share| share.free >= share.needs));
    let shares: Vec<String> = shares.into_iter().chain(limited.cloned()).collect();
    let description: Vec<&str> = node.product.as_deref().into_iter().chain(node.strategy).collect();
    let shares = if shares.is_empty() {
        "by DRA".to_owned()
    } else {
        shares.join(", ")
    };
    [format!("{status}  {}", node.name), shares, description.join(", ")]
}

fn joined(resources: &Resources) -> String {
    let each: Vec<String> = resources
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    each.join(" + ")
}
