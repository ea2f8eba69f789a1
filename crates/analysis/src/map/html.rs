//! The picture as one page: cards of nodes that flow into as many columns as there is room for.

use std::fmt::Write as _;

use super::picture::Picture;
use super::svg::{CARD, COLORS, card, escaped, heat, style};
use super::waiting::queues;
use apportion_core::diagnostics::counted;

/// What the page adds to the drawings' style.
const PAGE: &str = "body{margin:0;padding:20px clamp(10px,3vw,40px);background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif}\
    h1{font-size:22px;margin:0 0 12px}h2{font-size:16px;margin:28px 0 10px}h2 span,.note{color:var(--faint);font-weight:400}\
    .cards{display:flex;flex-wrap:wrap;gap:14px;align-items:flex-start}svg{max-width:100%;height:auto;display:block}\
    .nodes{columns:340px;column-gap:14px;margin-top:22px}.nodes svg{break-inside:avoid;margin:0 0 12px}.nodes h2{break-after:avoid;margin:0;padding:8px 0;font-size:14px}\
    .tiles{display:flex;flex-wrap:wrap;gap:10px}.tile{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:8px 14px;min-width:150px}\
    .tile b{font-size:19px;display:block}.tile small{color:var(--faint)}.bar{height:6px;background:var(--free);border-radius:3px;margin:6px 0 4px;overflow:hidden}\
    .bar i{display:block;height:6px}.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:14px}.legend i{display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:6px;vertical-align:-1px}\
    .legend .empty{background:var(--free);border:1px solid var(--line);box-sizing:border-box}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:5px 14px 5px 0;border-top:1px solid var(--line);overflow-wrap:anywhere}th{font-weight:600;border-top:0}.note{max-width:75ch}";

/// Nodes beside each other where each is one box.
const HEAT: usize = 24;

/// The page.
pub fn page(picture: &Picture, detailed: bool) -> String {
    let mut body = String::from("<h1>Who shares which GPUs</h1>");
    tiles(&mut body, picture);
    if detailed {
        legend(&mut body, picture);
    }
    body.push_str(if detailed { "<div class=\"nodes\">" } else { "<div>" });
    for group in &picture.groups {
        let count = counted(group.nodes.len(), "node");
        let _ = write!(body, "<h2>{} <span>{count}</span></h2>", escaped(&group.title));
        if detailed {
            for node in &group.nodes {
                let card = card(picture, node);
                drawing(&mut body, CARD, card.height, &node.name, &card.body);
            }
            continue;
        }
        // Parts that a telephone holds, beside each other where there is room.
        body.push_str("<div class=\"cards\">");
        for part in group.nodes.chunks(HEAT * HEAT / 3) {
            let strip = heat(part, HEAT);
            drawing(&mut body, HEAT * 14, strip.height, &group.title, &strip.body);
        }
        body.push_str("</div>");
    }
    body.push_str("</div>");
    waiting(&mut body, picture);
    let hint = if detailed {
        ""
    } else {
        " Each box is a node, the fuller the darker; a red frame offers nothing."
    };
    let _ = write!(body, "<p class=\"note\">{}{hint}</p>", escaped(picture.note));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>Who shares which GPUs</title><style>{}{PAGE}</style></head><body>{body}</body></html>\n",
        style()
    )
}

fn drawing(body: &mut String, width: usize, height: usize, label: &str, elements: &str) {
    let _ = write!(
        body,
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">{elements}</svg>",
        escaped(label)
    );
}

fn tiles(body: &mut String, picture: &Picture) {
    body.push_str("<div class=\"tiles\">");
    for total in &picture.totals {
        let percent = (total.held * 100).checked_div(total.shares).unwrap_or(0);
        let _ = write!(
            body,
            "<div class=\"tile\">{}<b>{} of {} held</b><div class=\"bar\"><i class=\"t0\" style=\"width:{percent}%\"></i></div><small>{}, {}</small></div>",
            total.strategy,
            total.held,
            total.shares,
            counted(total.nodes, "node"),
            counted(total.tenants, "tenant"),
        );
    }
    body.push_str("</div>");
}

fn legend(body: &mut String, picture: &Picture) {
    body.push_str("<div class=\"legend\">");
    for (at, tenant) in picture.tenants.iter().enumerate() {
        let _ = write!(
            body,
            "<span><i class=\"t{}\"></i>{}</span>",
            at % COLORS.len(),
            escaped(tenant)
        );
    }
    body.push_str("<span><i class=\"empty\"></i>free</span></div>");
}

fn waiting(body: &mut String, picture: &Picture) {
    if picture.waiting.is_empty() {
        return;
    }
    let count = counted(picture.waiting.len(), "pod");
    let _ = write!(
        body,
        "<h2>Waiting <span>{count}</span></h2><table><tr><th>pod</th><th>asks for</th><th>what it waits for</th></tr>"
    );
    for queue in queues(&picture.waiting) {
        let reasons: Vec<String> = queue.reasons().iter().map(|reason| escaped(reason)).collect();
        let _ = write!(
            body,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&queue.name()),
            escaped(&queue.demand()),
            reasons.join("<br>")
        );
    }
    body.push_str("</table>");
}
