//! The picture for a terminal: a letter for each tenant, a dot for what is free.
//!
//! Colours are always written; [`crate::cli::output`] takes them out where they are not wanted.

use apportion_core::diagnostics::counted;
use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use crate::cli::page::{BAD, DOUBTFUL, FAINT, painted};
use apportion_analysis::map::picture::{Block, Group, Holder, Picture, Strip};
use apportion_analysis::map::waiting::queues;

/// Columns where nothing says how many there are.
const WIDTH: usize = 100;
/// Narrower than this nothing can be told.
const NARROWEST: usize = 40;
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

/// The columns of the terminal; a hundred where there is none.
pub fn width() -> usize {
    terminal_size::terminal_size().map_or(WIDTH, |(columns, _)| usize::from(columns.0).max(NARROWEST))
}

/// The picture. Without `detailed` a node is one character.
pub fn text(picture: &Picture, detailed: bool, width: usize) -> String {
    let mut drawing = Drawing {
        picture,
        width,
        text: String::new(),
    };
    drawing.totals();
    for group in &picture.groups {
        drawing.heading(&group.title, group.nodes.len());
        if detailed {
            group.nodes.iter().for_each(|node| drawing.node(node));
        } else {
            drawing.heat(group);
        }
    }
    drawing.waiting();
    drawing.legend(detailed);
    drawing.text
}

struct Drawing<'p> {
    picture: &'p Picture,
    width: usize,
    text: String,
}

impl Drawing<'_> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn totals(&mut self) {
        if self.picture.groups.is_empty() {
            self.line("no node with GPUs is to be shown");
        }
        let lines: Vec<String> = self
            .picture
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

    fn node(&mut self, node: &Block) {
        let closed = node
            .closed
            .as_deref()
            .map(|why| painted(DOUBTFUL, why))
            .unwrap_or_default();
        self.line(&format!("  {}  {closed}", painted(BOLD, &node.name)));
        for problem in &node.problems {
            self.line(&format!("    {}", painted(BAD, problem)));
        }
        for strip in &node.offers {
            let name = strip
                .resource
                .split_once('/')
                .map_or(&*strip.resource, |(_, name)| name);
            self.line(&format!(
                "    {name}  {}",
                painted(FAINT, &format!("{} of {} free", strip.free, strip.total))
            ));
            for row in self.cells(strip) {
                self.line(&format!("    {row}"));
            }
            self.holders(&strip.holders);
        }
        if !node.stray.is_empty() {
            self.line(&format!("    {}", painted(BAD, "held, and offered to nobody:")));
            self.holders(&node.stray);
        }
    }

    /// The shares, a pair of brackets around each device, in as many rows as it takes.
    fn cells(&self, strip: &Strip) -> Vec<String> {
        let per_device = usize::try_from(strip.shares_per_device).unwrap_or(1).max(1);
        let room = self.width.saturating_sub(4).max(8);
        let (mut rows, mut row, mut used) = (Vec::new(), String::new(), 0);
        for device in strip.cells().chunks(per_device) {
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
                let shown = painted(self.style(&holder.tenant), &plain);
                (plain, shown)
            })
            .collect();
        self.flow(4, &items);
    }

    /// Items beside each other as long as they fit.
    fn flow(&mut self, indent: usize, items: &[(String, String)]) {
        let (mut row, mut used) = (String::new(), indent);
        for (plain, shown) in items {
            let needed = plain.chars().count() + 2;
            if used > indent && used + needed > self.width {
                let done = std::mem::take(&mut row);
                self.line(&format!("{}{done}", " ".repeat(indent)));
                used = indent;
            }
            row.push_str(shown);
            row.push_str("  ");
            used += needed;
        }
        if !row.is_empty() {
            self.line(&format!("{}{row}", " ".repeat(indent)));
        }
    }

    /// A character for each node: how full it is.
    fn heat(&mut self, group: &Group) {
        let levels: Vec<String> = group
            .nodes
            .iter()
            .map(|node| {
                let (total, held) = node.fill();
                let level = match total {
                    0 => return painted(BAD, "!"),
                    // Not empty is never shown as empty, and full is full.
                    total => (held.saturating_mul(8)).div_ceil(total).min(8),
                };
                let style = if node.closed.is_some() { DOUBTFUL } else { Style::new() };
                painted(style, &LEVELS[usize::try_from(level).unwrap_or(8)].to_string())
            })
            .collect();
        for row in levels.chunks(self.width.saturating_sub(2).max(1)) {
            self.line(&format!("  {}", row.concat()));
        }
        let (total, held) = group
            .nodes
            .iter()
            .map(Block::fill)
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
            .flat_map(|strip| &strip.holders)
        {
            *shares.entry(&holder.tenant).or_default() += holder.shares;
        }
        let mut shares: Vec<_> = shares.into_iter().collect();
        shares.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let items: Vec<(String, String)> = shares
            .into_iter()
            .map(|(tenant, count)| {
                let plain = format!("{tenant} {count}");
                let shown = painted(self.style(tenant), &plain);
                (plain, shown)
            })
            .collect();
        self.flow(2, &items);
    }

    fn waiting(&mut self) {
        if self.picture.waiting.is_empty() {
            return;
        }
        self.heading_of_waiting();
        for queue in queues(&self.picture.waiting) {
            let name = painted(self.style(&queue.first.tenant), &queue.name());
            self.line(&format!("  {name}  {}", queue.demand()));
            for reason in queue.reasons() {
                self.line(&format!("      {}", painted(FAINT, &reason)));
            }
        }
    }

    fn heading_of_waiting(&mut self) {
        self.line("");
        let count = counted(self.picture.waiting.len(), "pod");
        self.line(&format!("{}  {}", painted(BOLD, "Waiting"), painted(FAINT, &count)));
    }

    fn legend(&mut self, detailed: bool) {
        self.line("");
        if !detailed {
            self.line(&painted(
                FAINT,
                "A character is a node, the higher the fuller; `.` is empty, `!` offers nothing. --node, --namespace or --detail show more.",
            ));
            return;
        }
        let items: Vec<(String, String)> = self
            .picture
            .tenants
            .iter()
            .map(|tenant| {
                let plain = format!("{} {tenant}", self.letter(tenant));
                let shown = painted(self.style(tenant), &plain);
                (plain, shown)
            })
            .chain([(". free".to_owned(), painted(FAINT, ". free"))])
            .collect();
        self.flow(0, &items);
        let note = self
            .picture
            .note
            .split(": ")
            .map(|half| painted(FAINT, half))
            .collect::<Vec<_>>();
        self.line(&note.join(":\n"));
    }

    fn letter(&self, tenant: &str) -> char {
        char::from(LETTERS[self.picture.color_of(tenant) % LETTERS.len()])
    }

    fn style(&self, tenant: &str) -> Style {
        COLORS[self.picture.color_of(tenant) % COLORS.len()].on_default()
    }
}
