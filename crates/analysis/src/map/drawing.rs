//! The parts of the SVG drawings: colours, the card of a node, and the heat map of many nodes.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::cluster_map::{ClusterMap, Holder, MapNode, MapOffer};

/// Width of a card, in pixels.
pub const CARD_WIDTH: usize = 340;
/// Padding of a card, and the space between cards.
pub const PADDING: usize = 12;
/// Height of a line of text.
pub const LINE_HEIGHT: usize = 17;
/// Size of a node's cell in a heat map, with the space after it.
pub const HEAT_CELL: usize = 14;
/// Size of a share's box, with the space after it.
const SHARE_CELL: usize = 18;
/// Additional space after a device.
const DEVICE_GAP: usize = 6;
/// The most characters of a pod's name in a card.
const MAX_NAME: usize = 40;
/// Colours of tenants. Later tenants reuse them.
const COLORS: [&str; 12] = [
    "#4a7fd0", "#d8604c", "#3d9a50", "#c9a227", "#8d5fc2", "#2f9fb5", "#c2578f", "#8a6d3b", "#6d8f1f", "#e08a2e",
    "#5b6b8c", "#b04a5a",
];

const STYLE: &str = ":root{--paper:#f5f6f8;--card:#fff;--ink:#1c2128;--faint:#626b78;--line:#c9ced6;--free:#eceef2;--bad:#b3261e}\
    @media(prefers-color-scheme:dark){:root{--paper:#14171c;--card:#1d2229;--ink:#e6e9ee;--faint:#98a2b0;--line:#3d4550;--free:#2a3039;--bad:#ff8a80}}\
    text{font:12px system-ui,sans-serif;fill:var(--ink)}.b{font-weight:600;font-size:13px}.h{font-weight:600;font-size:16px}\
    .f{fill:var(--faint)}.e{fill:var(--bad)}.m{font:11px ui-monospace,monospace}\
    .card{fill:var(--card);stroke:var(--line)}.free{fill:var(--free);stroke:var(--line)}.dev{fill:none;stroke:var(--faint)}";

/// The style sheet of all drawings, for light and dark backgrounds.
pub fn style() -> String {
    let mut style = STYLE.to_owned();
    for (at, color) in COLORS.iter().enumerate() {
        let _ = write!(style, ".t{at}{{fill:{color};background:{color}}}");
    }
    style
}

/// The class that gives the tenant at `index` its colour.
pub fn color_class(index: usize) -> String {
    format!("t{}", index % COLORS.len())
}

/// SVG elements, from the upper left corner.
pub struct Drawing {
    pub elements: Markup,
    /// In pixels.
    pub height: usize,
}

/// The card of a node: its offers as rows of boxes, and the pods that hold shares.
///
/// maud closes `rect {}` with an end tag, which both HTML and XML need; `rect;` would stay open.
pub fn card(map: &ClusterMap, node: &MapNode) -> Drawing {
    let mut card = Card {
        map,
        elements: Vec::new(),
        y: PADDING + 12,
    };
    card.text("b", &node.name);
    if let Some(reason) = &node.closed_reason {
        card.line("e", reason);
    }
    for problem in &node.problems {
        card.line("e", problem);
    }
    for (at, offer) in node.offers.iter().enumerate() {
        card.y += if at > 0 { 4 } else { 0 };
        let name = offer
            .resource
            .split_once('/')
            .map_or(&*offer.resource, |(_, name)| name);
        card.line(
            "f",
            &format!("{name}, {}: {} of {} free", offer.strategy, offer.free, offer.total),
        );
        card.shares(offer);
        offer.holders.iter().for_each(|holder| card.holder(holder));
    }
    if !node.unoffered.is_empty() {
        card.line("e", "held, but not offered:");
        node.unoffered.iter().for_each(|holder| card.holder(holder));
    }
    let height = card.y + PADDING;
    Drawing {
        elements: html! {
            rect class="card" x=".5" y=".5" width=(CARD_WIDTH - 1) height=(height - 1) rx="6" {}
            @for element in &card.elements { (element) }
        },
        height,
    }
}

struct Card<'m> {
    map: &'m ClusterMap,
    elements: Vec<Markup>,
    /// The baseline of the last line.
    y: usize,
}

impl Card<'_> {
    fn text(&mut self, class: &str, text: &str) {
        self.elements.push(html! {
            text class=(class) x=(PADDING) y=(self.y) {
                (shortened(text, MAX_NAME + 10))
                title { (text) }
            }
        });
    }

    fn line(&mut self, class: &str, text: &str) {
        self.y += LINE_HEIGHT;
        self.text(class, text);
    }

    /// A box for each share, with an outline around the shares of a device. A device that does not
    /// fit on a line continues on the next one.
    fn shares(&mut self, offer: &MapOffer) {
        let per_device = usize::try_from(offer.shares_per_device).unwrap_or(1).max(1);
        let right = CARD_WIDTH - PADDING;
        let (mut x, mut y) = (PADDING, self.y + 8);
        for device in offer.cells().chunks(per_device) {
            if x > PADDING && x + device.len() * SHARE_CELL > right {
                (x, y) = (PADDING, y + SHARE_CELL + DEVICE_GAP);
            }
            for part in device.chunks((right - PADDING) / SHARE_CELL) {
                if x > PADDING && x + part.len() * SHARE_CELL > right {
                    (x, y) = (PADDING, y + SHARE_CELL + DEVICE_GAP);
                }
                if per_device > 1 {
                    let width = part.len() * SHARE_CELL + 2;
                    self.elements.push(html! {
                        rect class="dev" x=(x - 2) y=(y - 2) width=(width) height=(SHARE_CELL + 2) rx="3" {}
                    });
                }
                for share in part {
                    self.share(*share, x, y);
                    x += SHARE_CELL;
                }
                x += if per_device > 1 { DEVICE_GAP } else { 0 };
            }
        }
        self.y = y + SHARE_CELL;
    }

    fn share(&mut self, holder: Option<&Holder>, x: usize, y: usize) {
        let (class, title) = match holder {
            None => ("free".to_owned(), "free".to_owned()),
            Some(holder) => (self.color(holder), format!("{}/{}", holder.namespace, holder.pod)),
        };
        self.elements.push(html! {
            rect class=(class) x=(x) y=(y) width="16" height="16" rx="2" { title { (title) } }
        });
    }

    fn holder(&mut self, holder: &Holder) {
        self.y += LINE_HEIGHT;
        let count = if holder.shares == 1 {
            String::new()
        } else {
            format!(" \u{d7}{}", holder.shares)
        };
        let leaving = if holder.leaving { " (leaving)" } else { "" };
        let name = format!("{}/{}", holder.namespace, holder.pod);
        let room = MAX_NAME.saturating_sub(count.chars().count() + leaving.len());
        self.elements.push(html! {
            circle class=(self.color(holder)) cx=(PADDING + 4) cy=(self.y - 4) r="4" {}
            text class="m" x=(PADDING + 14) y=(self.y) {
                (shortened(&name, room)) (count) (leaving)
                title { (name) }
            }
        });
    }

    fn color(&self, holder: &Holder) -> String {
        color_class(self.map.color_index(&holder.tenant))
    }
}

/// A cell for each node in rows of `columns`: the fuller the node, the darker the cell.
pub fn heat_map(nodes: &[MapNode], columns: usize) -> Drawing {
    let cells = nodes.iter().enumerate().map(|(at, node)| {
        let (x, y) = ((at % columns) * HEAT_CELL, (at / columns) * HEAT_CELL);
        let (total, held) = node.usage();
        let percent = (held * 100).checked_div(total).unwrap_or(0);
        let stroke = if total == 0 { "var(--bad)" } else { "var(--line)" };
        html! {
            rect class="free" x={ (x) ".5" } y={ (y) ".5" } width="11" height="11" style={ "stroke:" (stroke) } {}
            rect class="t0" x={ (x) ".5" } y={ (y) ".5" } width="11" height="11"
                opacity=(format_args!("{}.{:02}", percent / 100, percent % 100)) {
                title {
                    (node.name) ": " (held) " of " (total) " held"
                    @if let Some(reason) = &node.closed_reason { ", " (reason) }
                }
            }
        }
    });
    Drawing {
        elements: html! { @for cell in cells { (cell) } },
        height: nodes.len().div_ceil(columns) * HEAT_CELL,
    }
}

/// The text, with an ellipsis if it is longer than `max` characters.
pub fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let front: String = text.chars().take(max.saturating_sub(1)).collect();
    front + "\u{2026}"
}
