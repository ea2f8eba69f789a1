//! The map for a terminal: a letter for each share that a tenant holds, a dot for each free one.
//!
//! Colors are always written; [`crate::cli::output`] removes them where they are not wanted.

use apportion_core::diagnostics::counted;
use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use crate::cli::page::{BAD, DOUBTFUL, FAINT, painted};
use apportion_analysis::map::ClusterMap;
use apportion_analysis::map::cluster_map::{Group, Holder, MapNode, MapOffer};
use apportion_analysis::map::waiting::grouped;

/// The width if the output is not a terminal.
const DEFAULT_WIDTH: usize = 100;
/// A map cannot be read in fewer columns.
const MIN_WIDTH: usize = 40;
/// How full a node is, in eighths.
const LEVELS: [char; 9] = ['.', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BOLD: Style = Style::new().bold();
const COLORS: [AnsiColor; 12] = [
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Cyan,
    AnsiColor::Red,
    AnsiColor::BrightBlue,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightGreen,
    AnsiColor::BrightYellow,
    AnsiColor::BrightCyan,
    AnsiColor::BrightRed,
];
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The columns of the terminal.
pub fn width() -> usize {
    terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(columns, _)| usize::from(columns.0).max(MIN_WIDTH))
}

/// The map. Without `detailed` each node is one character.
pub fn text(map: &ClusterMap, detailed: bool, width: usize) -> String {
    let mut text_map = TextMap {
        map,
        width,
        text: String::new(),
    };
    text_map.totals();
    for group in &map.groups {
        text_map.heading(&group.title, group.nodes.len());
        if detailed {
            group.nodes.iter().for_each(|node| text_map.node(node));
        } else {
            text_map.heat_map(group);
        }
    }
    text_map.waiting();
    text_map.legend(detailed);
    text_map.text
}

struct TextMap<'m> {
    map: &'m ClusterMap,
    width: usize,
    text: String,
}

impl TextMap<'_> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn totals(&mut self) {
        if self.map.groups.is_empty() {
            self.line("no matching nodes with GPUs");
        }
        let lines: Vec<String> = self
            .map
            .totals
            .iter()
            .map(|total| {
                format!(
                    "{:13} {} of {} shares held, {} free, by {} on {}",
                    total.strategy,
                    total.held,
                    total.shares,
                    total.free,
                    counted(total.tenants, "tenant"),
                    counted(total.nodes, "node"),
                )
            })
            .collect();
        for line in &lines {
            self.line(line);
        }
    }

    fn heading(&mut self, title: &str, nodes: usize) {
        self.line("");
        self.line(&format!(
            "{}  {}",
            painted(BOLD, title),
            painted(FAINT, &counted(nodes, "node"))
        ));
    }

    fn node(&mut self, node: &MapNode) {
        let closed = node
            .closed_reason
            .as_deref()
            .map(|reason| painted(DOUBTFUL, reason))
            .unwrap_or_default();
        self.line(&format!("  {}  {closed}", painted(BOLD, &node.name)));
        for problem in &node.problems {
            self.line(&format!("    {}", painted(BAD, problem)));
        }
        for offer in &node.offers {
            let name = offer
                .resource
                .split_once('/')
                .map_or(&*offer.resource, |(_, name)| name);
            self.line(&format!(
                "    {name}  {}",
                painted(FAINT, &format!("{} of {} free", offer.free, offer.total))
            ));
            for row in self.cells(offer) {
                self.line(&format!("    {row}"));
            }
            self.holders(&offer.holders);
        }
        if !node.unoffered.is_empty() {
            self.line(&format!("    {}", painted(BAD, "held, but not offered:")));
            self.holders(&node.unoffered);
        }
    }

    /// The shares in rows, with brackets around each device.
    fn cells(&self, offer: &MapOffer) -> Vec<String> {
        let per_device = usize::try_from(offer.shares_per_device).unwrap_or(1).max(1);
        let room = self.width.saturating_sub(4).max(8);
        let (mut rows, mut row, mut used) = (Vec::new(), String::new(), 0);
        for device in offer.cells().chunks(per_device) {
            for (at, part) in device.chunks(room - 2).enumerate() {
                let needed = part.len() + 2;
                if used + needed > room || at > 0 {
                    rows.push(std::mem::take(&mut row));
                    used = 0;
                }
                row.push('[');
                row.extend(part.iter().map(|cell| match cell {
                    Some(holder) => painted(self.style(&holder.tenant), &self.letter(&holder.tenant).to_string()),
                    None => painted(FAINT, "."),
                }));
                row.push(']');
                used += needed;
            }
        }
        rows.push(row);
        rows
    }

    fn holders(&mut self, holders: &[Holder]) {
        let items: Vec<(String, String)> = holders
            .iter()
            .map(|holder| {
                let times = if holder.shares == 1 {
                    String::new()
                } else {
                    format!(" x{}", holder.shares)
                };
                let leaving = if holder.leaving { " (leaving)" } else { "" };
                let plain = format!(
                    "{} {}/{}{times}{leaving}",
                    self.letter(&holder.tenant),
                    holder.namespace,
                    holder.pod
                );
                let styled = painted(self.style(&holder.tenant), &plain);
                (plain, styled)
            })
            .collect();
        self.flow(4, &items);
    }

    /// Items in rows: the plain text, which has the width, and the styled text.
    fn flow(&mut self, indent: usize, items: &[(String, String)]) {
        let (mut row, mut used) = (String::new(), indent);
        for (plain, styled) in items {
            let needed = plain.chars().count() + 2;
            if used > indent && used + needed > self.width {
                let done = std::mem::take(&mut row);
                self.line(&format!("{}{done}", " ".repeat(indent)));
                used = indent;
            }
            row.push_str(styled);
            row.push_str("  ");
            used += needed;
        }
        if !row.is_empty() {
            self.line(&format!("{}{row}", " ".repeat(indent)));
        }
    }

    /// A character for each node that shows how full it is.
    fn heat_map(&mut self, group: &Group) {
        let levels: Vec<String> = group
            .nodes
            .iter()
            .map(|node| {
                let (total, held) = node.usage();
                let level = match total {
                    0 => return painted(BAD, "!"),
                    // Rounded up, so that only an empty node looks empty.
                    total => (held.saturating_mul(8)).div_ceil(total).min(8),
                };
                let style = if node.closed_reason.is_some() {
                    DOUBTFUL
                } else {
                    Style::new()
                };
                painted(style, &LEVELS[usize::try_from(level).unwrap_or(8)].to_string())
            })
            .collect();
        for row in levels.chunks(self.width.saturating_sub(2).max(1)) {
            self.line(&format!("  {}", row.concat()));
        }
        let (total, held) = group
            .nodes
            .iter()
            .map(MapNode::usage)
            .fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        self.line(&format!(
            "  {}",
            painted(FAINT, &format!("{held} of {total} shares held"))
        ));
        let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
        for holder in group
            .nodes
            .iter()
            .flat_map(|node| &node.offers)
            .flat_map(|offer| &offer.holders)
        {
            *shares.entry(&holder.tenant).or_default() += holder.shares;
        }
        let mut shares: Vec<_> = shares.into_iter().collect();
        shares.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let items: Vec<(String, String)> = shares
            .into_iter()
            .map(|(tenant, count)| {
                let plain = format!("{tenant} {count}");
                let styled = painted(self.style(tenant), &plain);
                (plain, styled)
            })
            .collect();
        self.flow(2, &items);
    }

    fn waiting(&mut self) {
        if self.map.waiting.is_empty() {
            return;
        }
        self.line("");
        let count = counted(self.map.waiting.len(), "pod");
        self.line(&format!("{}  {}", painted(BOLD, "Waiting"), painted(FAINT, &count)));
        for group in grouped(&self.map.waiting) {
            let name = painted(self.style(&group.first.tenant), &group.name());
            self.line(&format!("  {name}  {}", group.demand()));
            for reason in group.reasons() {
                self.line(&format!("      {}", painted(FAINT, &reason)));
            }
        }
    }

    fn legend(&mut self, detailed: bool) {
        self.line("");
        if !detailed {
            self.line(&painted(
                FAINT,
                "Each character is a node: the taller, the fuller; `.` is empty, `!` offers nothing. For details, set --node, --namespace or --detail.",
            ));
            return;
        }
        let items: Vec<(String, String)> = self
            .map
            .tenants
            .iter()
            .map(|tenant| {
                let plain = format!("{} {tenant}", self.letter(tenant));
                let styled = painted(self.style(tenant), &plain);
                (plain, styled)
            })
            .chain([(". free".to_owned(), painted(FAINT, ". free"))])
            .collect();
        self.flow(0, &items);
        let note = self
            .map
            .note
            .split(": ")
            .map(|half| painted(FAINT, half))
            .collect::<Vec<_>>();
        self.line(&note.join(":\n"));
    }

    fn letter(&self, tenant: &str) -> char {
        char::from(LETTERS[self.map.color_index(tenant) % LETTERS.len()])
    }

    fn style(&self, tenant: &str) -> Style {
        COLORS[self.map.color_index(tenant) % COLORS.len()].on_default()
    }
}
