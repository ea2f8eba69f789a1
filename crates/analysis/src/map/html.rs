//! Draws the map as one HTML page that needs no other files.
//!
//! Cards of nodes flow into as many columns as the window has room for.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cluster_map::{ClusterMap, Group};
use super::drawing::{CARD_WIDTH, Drawing, HEAT_CELL, card, color_class, heat_map, style};
use super::waiting::grouped;
use apportion_core::diagnostics::counted;

/// What the page adds to the style of the drawings.
const STYLE: &str = "body{margin:0;padding:20px clamp(10px,3vw,40px);background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif}\
    h1{font-size:22px;margin:0 0 12px}h2{font-size:16px;margin:28px 0 10px}h2 span,.note{color:var(--faint);font-weight:400}\
    .cards{display:flex;flex-wrap:wrap;gap:14px;align-items:flex-start}svg{max-width:100%;height:auto;display:block}\
    .nodes{columns:340px;column-gap:14px;margin-top:22px}.nodes svg{break-inside:avoid;margin:0 0 12px}.nodes h2{break-after:avoid;margin:0;padding:8px 0;font-size:14px}\
    .tiles{display:flex;flex-wrap:wrap;gap:10px}.tile{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:8px 14px;min-width:150px}\
    .tile b{font-size:19px;display:block}.tile small{color:var(--faint)}.bar{height:6px;background:var(--free);border-radius:3px;margin:6px 0 4px;overflow:hidden}\
    .bar i{display:block;height:6px}.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:14px}.legend i{display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:6px;vertical-align:-1px}\
    .legend .empty{background:var(--free);border:1px solid var(--line);box-sizing:border-box}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:5px 14px 5px 0;border-top:1px solid var(--line);overflow-wrap:anywhere}th{font-weight:600;border-top:0}.note{max-width:75ch}";

/// Columns of a heat map.
const HEAT_COLUMNS: usize = 24;
/// The most nodes in one heat map. A phone can show that many; a wider window shows several heat
/// maps side by side.
const HEAT_NODES: usize = HEAT_COLUMNS * HEAT_COLUMNS / 3;

const TITLE: &str = "Who shares which GPUs";

/// The page. With `detailed` each node is a card, otherwise a cell of a heat map.
pub fn page(map: &ClusterMap, detailed: bool) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (TITLE) }
                style { (PreEscaped(style())) (PreEscaped(STYLE)) }
            }
            body {
                h1 { (TITLE) }
                (totals(map))
                @if detailed {
                    (legend(map))
                    div class="nodes" {
                        @for group in &map.groups {
                            (heading(group))
                            @for node in &group.nodes { (svg(CARD_WIDTH, &node.name, &card(map, node))) }
                        }
                    }
                } @else {
                    div {
                        @for group in &map.groups {
                            (heading(group))
                            div class="cards" {
                                @for nodes in group.nodes.chunks(HEAT_NODES) {
                                    (svg(HEAT_COLUMNS * HEAT_CELL, &group.title, &heat_map(nodes, HEAT_COLUMNS)))
                                }
                            }
                        }
                    }
                }
                (waiting(map))
                p class="note" {
                    (map.note)
                    @if !detailed {
                        " Each box is a node: the fuller, the darker. A node with a red frame offers nothing."
                    }
                }
            }
        }
    };
    page.into_string() + "\n"
}

fn heading(group: &Group) -> Markup {
    html! { h2 { (group.title) " " span { (counted(group.nodes.len(), "node")) } } }
}

fn svg(width: usize, label: &str, drawing: &Drawing) -> Markup {
    html! {
        svg width=(width) height=(drawing.height) viewBox={ "0 0 " (width) " " (drawing.height) } role="img"
            aria-label=(label) { (drawing.elements) }
    }
}

fn totals(map: &ClusterMap) -> Markup {
    html! {
        div class="tiles" {
            @for total in &map.totals {
                @let percent = (total.held * 100).checked_div(total.shares).unwrap_or(0);
                div class="tile" {
                    (total.strategy)
                    b { (total.held) " of " (total.shares) " held" }
                    div class="bar" { i class="t0" style={ "width:" (percent) "%" } {} }
                    small { (counted(total.nodes, "node")) ", " (counted(total.tenants, "tenant")) }
                }
            }
        }
    }
}

fn legend(map: &ClusterMap) -> Markup {
    html! {
        div class="legend" {
            @for (at, tenant) in map.tenants.iter().enumerate() {
                span { i class=(color_class(at)) {} (tenant) }
            }
            span { i class="empty" {} "free" }
        }
    }
}

fn waiting(map: &ClusterMap) -> Markup {
    html! {
        @if !map.waiting.is_empty() {
            h2 { "Waiting " span { (counted(map.waiting.len(), "pod")) } }
            table {
                tr { th { "pod" } th { "asks for" } th { "what it waits for" } }
                @for group in grouped(&map.waiting) {
                    tr {
                        td { (group.name()) }
                        td { (group.demand()) }
                        td {
                            @for (at, reason) in group.reasons().iter().enumerate() {
                                @if at > 0 { br; }
                                (reason)
                            }
                        }
                    }
                }
            }
        }
    }
}
