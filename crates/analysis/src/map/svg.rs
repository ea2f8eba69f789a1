//! The picture as SVG: a card for each node, its shares as boxes, an outline around those of one device.

use std::fmt::Write as _;

use super::picture::{Block, Holder, Picture, Strip};
use super::waiting::queues;
use apportion_core::diagnostics::counted;

/// Width of a card, in pixels.
pub const CARD: usize = 340;
/// Space around what is in a card.
const PAD: usize = 12;
/// A box, with the space behind it.
const CELL: usize = 18;
/// More space behind a device.
const GAP: usize = 6;
/// A line of text.
const LINE: usize = 17;
/// Cards beside each other on a sheet.
const COLUMNS: usize = 3;
/// Nodes of a group that stay together on a sheet.
const PART: usize = 4;
/// Characters of a heading over a card.
const HEADING: usize = 38;
/// Colours of tenants; of more than so many some share one.
pub const COLORS: [&str; 12] = [
    "#4a7fd0", "#d8604c", "#3d9a50", "#c9a227", "#8d5fc2", "#2f9fb5", "#c2578f", "#8a6d3b", "#6d8f1f", "#e08a2e",
    "#5b6b8c", "#b04a5a",
];
/// Characters of a name that fit into a card.
const NAME: usize = 40;

/// A text between tags or in an attribute.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The colours of both schemes, and what all drawings have in common.
pub fn style() -> String {
    let mut style = ":root{--paper:#f5f6f8;--card:#fff;--ink:#1c2128;--faint:#626b78;--line:#c9ced6;--free:#eceef2;--bad:#b3261e}\
        @media(prefers-color-naming:dark){:root{--paper:#14171c;--card:#1d2229;--ink:#e6e9ee;--faint:#98a2b0;--line:#3d4550;--free:#2a3039;--bad:#ff8a80}}\
        text{font:12px system-ui,sans-serif;fill:var(--ink)}.b{font-weight:600;font-size:13px}.h{font-weight:600;font-size:16px}\
        .f{fill:var(--faint)}.e{fill:var(--bad)}.m{font:11px ui-monospace,monospace}\
        .card{fill:var(--card);stroke:var(--line)}.free{fill:var(--free);stroke:var(--line)}.dev{fill:none;stroke:var(--faint)}"
        .to_owned();
    for (at, color) in COLORS.iter().enumerate() {
        let _ = write!(style, ".t{at}{{fill:{color};background:{color}}}");
    }
    style
}

/// A drawing and its height.
pub struct Card {
    /// Elements, from the upper left corner.
    pub body: String,
    /// In pixels.
    pub height: usize,
}

/// The card of a node.
pub fn card(picture: &Picture, node: &Block) -> Card {
    let mut pen = Pen {
        picture,
        body: String::new(),
        y: PAD + 12,
    };
    pen.text("b", &node.name);
    if let Some(why) = &node.closed {
        pen.line("e", why);
    }
    for problem in &node.problems {
        pen.line("e", problem);
    }
    for (at, strip) in node.offers.iter().enumerate() {
        pen.y += if at > 0 { 4 } else { 0 };
        let name = strip
            .resource
            .split_once('/')
            .map_or(&*strip.resource, |(_, name)| name);
        pen.line(
            "f",
            &format!("{name}, {}: {} of {} free", strip.strategy, strip.free, strip.total),
        );
        pen.cells(strip);
        strip.holders.iter().for_each(|holder| pen.holder(holder));
    }
    if !node.stray.is_empty() {
        pen.line("e", "held, and offered to nobody:");
        node.stray.iter().for_each(|holder| pen.holder(holder));
    }
    let height = pen.y + PAD;
    let frame = format!(
        "<rect class=\"card\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"6\"/>",
        CARD - 1,
        height - 1
    );
    Card {
        body: frame + &pen.body,
        height,
    }
}

struct Pen<'p> {
    picture: &'p Picture,
    body: String,
    /// The baseline of the last line.
    y: usize,
}

impl Pen<'_> {
    fn text(&mut self, class: &str, text: &str) {
        let (y, shown) = (self.y, escaped(&shortened(text, NAME + 10)));
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{PAD}\" y=\"{y}\">{shown}<title>{}</title></text>",
            escaped(text)
        );
    }

    fn line(&mut self, class: &str, text: &str) {
        self.y += LINE;
        self.text(class, text);
    }

    fn cells(&mut self, strip: &Strip) {
        let per_device = usize::try_from(strip.shares_per_device).unwrap_or(1).max(1);
        let right = CARD - PAD;
        let (mut x, mut y) = (PAD, self.y + 8);
        for device in strip.cells().chunks(per_device) {
            let whole = device.len() * CELL;
            if x > PAD && x + whole > right {
                (x, y) = (PAD, y + CELL + GAP);
            }
            for part in device.chunks((right - PAD) / CELL) {
                if x > PAD && x + part.len() * CELL > right {
                    (x, y) = (PAD, y + CELL + GAP);
                }
                if per_device > 1 {
                    let width = part.len() * CELL + 2;
                    let _ = write!(
                        self.body,
                        "<rect class=\"dev\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{}\" rx=\"3\"/>",
                        x - 2,
                        y - 2,
                        CELL + 2
                    );
                }
                for cell in part {
                    self.share(*cell, x, y);
                    x += CELL;
                }
                x += if per_device > 1 { GAP } else { 0 };
            }
        }
        self.y = y + CELL;
    }

    fn share(&mut self, cell: Option<&Holder>, x: usize, y: usize) {
        let (class, title) = match cell {
            None => ("free".to_owned(), "free".to_owned()),
            Some(holder) => (
                self.color(&holder.tenant),
                format!("{}/{}", holder.namespace, holder.pod),
            ),
        };
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"16\" height=\"16\" rx=\"2\"><title>{}</title></rect>",
            escaped(&title)
        );
    }

    fn holder(&mut self, holder: &Holder) {
        self.y += LINE;
        let times = if holder.shares == 1 {
            String::new()
        } else {
            format!(" \u{d7}{}", holder.shares)
        };
        let leaving = if holder.leaving { " (leaving)" } else { "" };
        let name = format!("{}/{}", holder.namespace, holder.pod);
        let room = NAME.saturating_sub(times.chars().count() + leaving.len());
        let shown = format!("{}{times}{leaving}", shortened(&name, room));
        let _ = write!(
            self.body,
            "<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"4\"/><text class=\"m\" x=\"{}\" y=\"{}\">{}<title>{}</title></text>",
            self.color(&holder.tenant),
            PAD + 4,
            self.y - 4,
            PAD + 14,
            self.y,
            escaped(&shown),
            escaped(&name)
        );
    }

    fn color(&self, tenant: &str) -> String {
        format!("t{}", self.picture.color_of(tenant) % COLORS.len())
    }
}

/// A box for each node, the fuller the darker, in rows of `columns`.
pub fn heat(nodes: &[Block], columns: usize) -> Card {
    let mut body = String::new();
    for (at, node) in nodes.iter().enumerate() {
        let (x, y) = ((at % columns) * 14, (at / columns) * 14);
        let (total, held) = node.fill();
        let percent = (held * 100).checked_div(total).unwrap_or(0);
        let closed = node.closed.as_deref().map(|why| format!(", {why}")).unwrap_or_default();
        let frame = if total == 0 { "var(--bad)" } else { "var(--line)" };
        let _ = write!(
            body,
            "<rect class=\"free\" x=\"{x}.5\" y=\"{y}.5\" width=\"11\" height=\"11\" style=\"stroke:{frame}\"/>\
             <rect class=\"t0\" x=\"{x}.5\" y=\"{y}.5\" width=\"11\" height=\"11\" opacity=\"{}.{:02}\"><title>{}: {held} of {total} held{}</title></rect>",
            percent / 100,
            percent % 100,
            escaped(&node.name),
            escaped(&closed)
        );
    }
    Card {
        body,
        height: nodes.len().div_ceil(columns) * 14,
    }
}

/// Everything on one sheet.
pub fn sheet(picture: &Picture, detailed: bool) -> String {
    let width = COLUMNS * (CARD + PAD) + PAD;
    let (mut body, mut y) = (String::new(), 28);
    let text = |body: &mut String, class: &str, y: usize, text: &str| {
        let _ = write!(
            body,
            "<text class=\"{class}\" x=\"{PAD}\" y=\"{y}\">{}</text>",
            escaped(text)
        );
    };
    text(&mut body, "h", y, "Who shares which GPUs");
    for total in &picture.totals {
        y += LINE + 2;
        let line = format!(
            "{}: {} of {} shares held, {} free",
            total.strategy, total.held, total.shares, total.free
        );
        text(&mut body, "", y, &line);
    }
    if detailed {
        let mut x = PAD;
        y += LINE + 6;
        for (at, tenant) in picture.tenants.iter().enumerate() {
            let room = 34 + 8 * tenant.chars().count();
            if x > PAD && x + room > width {
                (x, y) = (PAD, y + LINE);
            }
            let _ = write!(
                body,
                "<rect class=\"t{}\" x=\"{x}\" y=\"{}\" width=\"11\" height=\"11\" rx=\"2\"/><text x=\"{}\" y=\"{y}\">{}</text>",
                at % COLORS.len(),
                y - 10,
                x + 17,
                escaped(tenant)
            );
            x += room;
        }
    }
    y += 20;
    if detailed {
        y = columns(&mut body, picture, y);
    } else {
        for group in &picture.groups {
            y += 26;
            let count = counted(group.nodes.len(), "node");
            text(&mut body, "b", y, &format!("{} ({count})", group.title));
            y += 10;
            let strip = heat(&group.nodes, (width - 2 * PAD) / 14);
            let _ = write!(body, "<g transform=\"translate({PAD},{y})\">{}</g>", strip.body);
            y += strip.height;
        }
    }
    if !picture.waiting.is_empty() {
        y += 32;
        text(
            &mut body,
            "b",
            y,
            &format!("Waiting ({})", counted(picture.waiting.len(), "pod")),
        );
        for queue in queues(&picture.waiting) {
            y += LINE;
            let line = format!("{}: {}. {}", queue.name(), queue.demand(), queue.reasons().join("; "));
            text(&mut body, "f", y, &shortened(&line, 160));
        }
    }
    y += 24;
    text(&mut body, "f", y, picture.note);
    y += 12;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" viewBox=\"0 0 {width} {y}\" role=\"img\" aria-label=\"Who shares which GPUs\">\
         <style>{}</style><rect width=\"100%\" height=\"100%\" style=\"fill:var(--paper)\"/>{body}</svg>\n",
        style()
    )
}

/// Cards in columns from `top` on, a heading over each group; a long group goes on in the next column. Returns where the longest ends.
fn columns(body: &mut String, picture: &Picture, top: usize) -> usize {
    let mut ends = [top; COLUMNS];
    for group in &picture.groups {
        for part in group.nodes.chunks(PART) {
            let shortest = (0..COLUMNS).min_by_key(|at| ends[*at]).unwrap_or(0);
            let (x, end) = (PAD + shortest * (CARD + PAD), &mut ends[shortest]);
            for line in lines(&group.title, HEADING) {
                *end += LINE;
                let _ = write!(
                    body,
                    "<text class=\"b\" x=\"{x}\" y=\"{end}\">{}</text>",
                    escaped(&line)
                );
            }
            *end += 8;
            for node in part {
                let card = card(picture, node);
                let _ = write!(body, "<g transform=\"translate({x},{end})\">{}</g>", card.body);
                *end += card.height + PAD;
            }
        }
    }
    ends.into_iter().max().unwrap_or(top)
}

/// A text in lines of about `width` characters.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text that fits, with its end left out where it does not.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let front: String = text.chars().take(most.saturating_sub(1)).collect();
    front + "\u{2026}"
}
