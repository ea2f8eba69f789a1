//! A page of text: labels on the left, what they say on the right, wrapped before the hundredth column.
//!
//! Colours are always written; [`super::output`] takes them out where they are not wanted.

use anstyle::{AnsiColor, Style};

/// The last column that is used.
const WIDTH: usize = 100;
/// Where what a label says begins.
const INDENT: usize = 13;
/// Names of nodes that are listed for one reason; a large cluster has thousands.
const NAMES: usize = 12;

/// Well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Not as somebody wanted it.
pub const BAD: Style = AnsiColor::Red.on_default();
/// To be looked at.
pub const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// Beside the point.
pub const FAINT: Style = Style::new().dimmed();
const LABEL: Style = Style::new().bold();
const PLAIN: Style = Style::new();

/// A text in a style.
pub fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The page.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// What was written.
    pub fn into_text(self) -> String {
        self.text
    }

    /// A line between two subjects.
    pub fn rule(&mut self) {
        self.line("");
        self.line(&painted(FAINT, &"-".repeat(WIDTH)));
        self.line("");
    }

    /// A label and what it says.
    pub fn field(&mut self, label: &str, text: &str) {
        self.styled_field(label, PLAIN, text);
    }

    /// A label and what it says, in a style.
    pub fn styled_field(&mut self, label: &str, style: Style, text: &str) {
        let mut label = label;
        for part in wrapped(text, WIDTH - INDENT) {
            self.labelled(label, &painted(style, &part));
            label = "";
        }
    }

    /// A label and all that it says, each on lines of its own; nothing for nothing.
    pub fn fields(&mut self, label: &str, texts: &[String]) {
        let mut label = label;
        for text in texts {
            self.field(label, text);
            label = "";
        }
    }

    /// More of what the last label says.
    pub fn more(&mut self, text: &str) {
        self.field("", text);
    }

    /// A label and a table; nothing without rows.
    pub fn table<const N: usize>(&mut self, label: &str, rows: &[[String; N]]) {
        self.styled_table(label, rows, &[]);
    }

    /// A table with a style for each row. The last column is wrapped.
    pub fn styled_table<const N: usize>(&mut self, label: &str, rows: &[[String; N]], styles: &[Style]) {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..N).map(width).collect();
        let before_last: usize = widths[..N - 1].iter().map(|width| width + 2).sum();
        let last = (WIDTH - INDENT).saturating_sub(before_last).max(20);
        let mut label = label;
        for (at, row) in rows.iter().enumerate() {
            let style = styles.get(at).copied().unwrap_or(PLAIN);
            let cells = row[..N - 1].iter().zip(&widths);
            let mut front = cells
                .map(|(cell, width)| format!("{cell:width$}  "))
                .collect::<Vec<_>>()
                .concat();
            for part in wrapped(&row[N - 1], last) {
                self.labelled(label, &painted(style, format!("{front}{part}").trim_end()));
                (label, front) = ("", " ".repeat(before_last));
            }
        }
    }

    /// A label and lines that stay as they are: drawings, and what people paste into a shell.
    pub fn raw(&mut self, label: &str, style: Style, text: &str) {
        let mut label = label;
        for line in text.lines() {
            self.labelled(label, &painted(style, line));
            label = "";
        }
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.line("");
    }

    /// How many, why, and who: the names below the reason.
    pub fn count(&mut self, count: usize, reason: &str, names: &[String]) {
        for (at, part) in wrapped(reason, WIDTH - INDENT - 6).into_iter().enumerate() {
            let front = if at == 0 { count.to_string() } else { String::new() };
            self.labelled("", &format!("{front:>4}  {part}"));
        }
        let shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
        let list = match names.len().saturating_sub(NAMES) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        };
        for part in wrapped(&list, WIDTH - INDENT - 6) {
            self.labelled("", &format!("      {}", painted(FAINT, &part)));
        }
    }

    /// A line of somebody else's text, cut where it is too long.
    pub fn verbatim(&mut self, style: Style, text: &str) {
        let room = WIDTH - 2;
        let shown = if text.chars().count() > room {
            format!("{}...", text.chars().take(room - 3).collect::<String>())
        } else {
            text.to_owned()
        };
        self.line(&format!("  {}", painted(style, &shown)));
    }

    fn labelled(&mut self, label: &str, text: &str) {
        let label = painted(LABEL, label) + &" ".repeat(INDENT.saturating_sub(label.len()));
        self.line(&format!("{label}{text}"));
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }
}

/// The text in lines of at most `width` characters, broken between words. A word that is longer stands alone.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // Several spaces in a row are meant so; only a single one is a place to break.
    for (at, word) in text.split(' ').enumerate() {
        let fits = |line: &String| line.chars().count() + 1 + word.chars().count() <= width;
        match lines.last_mut() {
            Some(line) if at == 0 || fits(line) => {
                if at > 0 {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(
            wrapped("a bb  ccc dddd", 6),
            ["a bb ", "ccc", "dddd"].map(str::to_owned)
        );
        assert_eq!(wrapped("", 6), [""]);
        assert_eq!(wrapped("much-too-long x", 6), ["much-too-long", "x"]);
    }

    #[test]
    fn columns_align_and_nothing_passes_the_edge() {
        let mut page = Page::default();
        let long = "word ".repeat(40);
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        page.table("Table", &[row("a", &long), row("longer", "b")]);
        page.count(30, "a reason", &vec!["node-of-some-name".to_owned(); 30]);
        page.verbatim(PLAIN, &long);
        let text = anstream::adapter::strip_str(&page.into_text()).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.starts_with("Table        a       word"), "{text}");
        assert!(
            text.contains("\n             longer  b\n") && text.contains("and 18"),
            "{text}"
        );
    }
}
