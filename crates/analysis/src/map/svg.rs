//! Draws the map as one SVG image.

use maud::{Markup, PreEscaped, html};

use super::cluster_map::ClusterMap;
use super::drawing::{CARD_WIDTH, HEAT_CELL, LINE_HEIGHT, PADDING, card, color_class, heat_map, shortened, style};
use super::waiting::grouped;
use apportion_core::diagnostics::counted;

/// Columns of cards.
const COLUMNS: usize = 3;
/// How many nodes of a group stay together in a column.
const NODES_PER_PART: usize = 4;
/// The most characters in a line of a group's heading.
const MAX_HEADING: usize = 38;
/// The most characters in the line of a waiting pod.
const MAX_WAITING: usize = 160;
const WIDTH: usize = COLUMNS * (CARD_WIDTH + PADDING) + PADDING;

/// The image. With `detailed` each node is a card, otherwise a cell of a heat map.
pub fn image(map: &ClusterMap, detailed: bool) -> String {
    let mut image = Image {
        map,
        elements: Vec::new(),
        y: 28,
    };
    image.text("h", "Who shares which GPUs");
    image.totals();
    if detailed {
        image.legend();
    }
    image.y += 20;
    if detailed {
        image.cards();
    } else {
        image.heat_maps();
    }
    image.waiting();
    image.y += 24;
    image.text("f", map.note);
    let height = image.y + 12;
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(WIDTH) height=(height)
            viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label="Who shares which GPUs" {
            style { (PreEscaped(style())) }
            rect width="100%" height="100%" style="fill:var(--paper)" {}
            @for element in &image.elements { (element) }
        }
    };
    svg.into_string() + "\n"
}

struct Image<'m> {
    map: &'m ClusterMap,
    elements: Vec<Markup>,
    /// The baseline of the last line.
    y: usize,
}

impl Image<'_> {
    fn text(&mut self, class: &str, text: &str) {
        self.elements
            .push(html! { text class=(class) x=(PADDING) y=(self.y) { (text) } });
    }

    fn totals(&mut self) {
        for total in &self.map.totals {
            self.y += LINE_HEIGHT + 2;
            self.text(
                "",
                &format!(
                    "{}: {} of {} shares held, {} free",
                    total.strategy, total.held, total.shares, total.free
                ),
            );
        }
    }

    fn legend(&mut self) {
        let mut x = PADDING;
        self.y += LINE_HEIGHT + 6;
        for (at, tenant) in self.map.tenants.iter().enumerate() {
            let width = 34 + 8 * tenant.chars().count();
            if x > PADDING && x + width > WIDTH {
                (x, self.y) = (PADDING, self.y + LINE_HEIGHT);
            }
            self.elements.push(html! {
                rect class=(color_class(at)) x=(x) y=(self.y - 10) width="11" height="11" rx="2" {}
                text x=(x + 17) y=(self.y) { (tenant) }
            });
            x += width;
        }
    }

    /// Cards in columns, with a heading over each group. A long group continues in the next column.
    fn cards(&mut self) {
        let mut ends = [self.y; COLUMNS];
        for group in &self.map.groups {
            for part in group.nodes.chunks(NODES_PER_PART) {
                let shortest = (0..COLUMNS).min_by_key(|at| ends[*at]).unwrap_or(0);
                let (x, end) = (PADDING + shortest * (CARD_WIDTH + PADDING), &mut ends[shortest]);
                for line in wrapped(&group.title, MAX_HEADING) {
                    *end += LINE_HEIGHT;
                    self.elements.push(html! { text class="b" x=(x) y=(end) { (line) } });
                }
                *end += 8;
                for node in part {
                    let card = card(self.map, node);
                    self.elements
                        .push(html! { g transform={ "translate(" (x) "," (end) ")" } { (card.elements) } });
                    *end += card.height + PADDING;
                }
            }
        }
        self.y = ends.into_iter().max().unwrap_or(self.y);
    }

    fn heat_maps(&mut self) {
        for group in &self.map.groups {
            self.y += 26;
            let count = counted(group.nodes.len(), "node");
            self.text("b", &format!("{} ({count})", group.title));
            self.y += 10;
            let drawing = heat_map(&group.nodes, (WIDTH - 2 * PADDING) / HEAT_CELL);
            self.elements
                .push(html! { g transform={ "translate(" (PADDING) "," (self.y) ")" } { (drawing.elements) } });
            self.y += drawing.height;
        }
    }

    fn waiting(&mut self) {
        let waiting = &self.map.waiting;
        if waiting.is_empty() {
            return;
        }
        self.y += 32;
        self.text("b", &format!("Waiting ({})", counted(waiting.len(), "pod")));
        for group in grouped(waiting) {
            self.y += LINE_HEIGHT;
            let line = format!("{}: {}. {}", group.name(), group.demand(), group.reasons().join("; "));
            self.text("f", &shortened(&line, MAX_WAITING));
        }
    }
}

/// The text in lines of at most `width` characters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
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
