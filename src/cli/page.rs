//! Text output: labels on the left and wrapped text on the right, within 100 columns.
//!
//! The text always contains colors; [`super::output`] removes them if they are not wanted.

use std::ops::Range;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};
use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// The width of a page in columns.
const WIDTH: usize = 100;
/// The column where the text after a label starts.
const INDENT: usize = 13;
/// The most names that [`Page::count`] lists; a large cluster has thousands of nodes.
const MAX_NAMES: usize = 12;
/// The least width of a wrapped column, even if the columns before it leave less.
const MIN_WRAPPED_WIDTH: usize = 20;

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();
pub const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// Secondary text.
pub const FAINT: Style = Style::new().dimmed();
const LABEL: Style = Style::new().bold();
const PLAIN: Style = Style::new();

pub fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Wraps text between words into lines of at most `width` columns. A longer word gets a line of its
/// own, because node names, label values and commands must stay whole.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options).into_iter().map(String::from).collect()
}

/// Lays out rows in columns that are two spaces apart. A cell with several lines makes its row as
/// many lines high.
pub fn columns(rows: &[Vec<String>], right_aligned: Range<usize>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows.iter().cloned());
    for (index, column) in table.column_iter_mut().enumerate() {
        // comfy-table makes an empty column one space wide.
        let empty = rows.iter().all(|row| row[index].is_empty());
        column.set_padding((0, if empty { 1 } else { 2 }));
        if right_aligned.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    pub fn into_text(self) -> String {
        self.text
    }

    /// A horizontal line between two sections.
    pub fn rule(&mut self) {
        self.line("");
        self.line(&painted(FAINT, &"-".repeat(WIDTH)));
        self.line("");
    }

    /// A label and its text.
    pub fn field(&mut self, label: &str, text: &str) {
        self.styled_field(label, PLAIN, text);
    }

    pub fn styled_field(&mut self, label: &str, style: Style, text: &str) {
        let mut label = label;
        for line in wrapped(text, WIDTH - INDENT) {
            self.labelled(label, &painted(style, &line));
            label = "";
        }
    }

    /// A label and several texts, each on a new line. Writes nothing if there are no texts.
    pub fn fields(&mut self, label: &str, texts: &[String]) {
        let mut label = label;
        for text in texts {
            self.field(label, text);
            label = "";
        }
    }

    /// Another text for the last label.
    pub fn more(&mut self, text: &str) {
        self.field("", text);
    }

    /// A label and a table. Writes nothing if there are no rows.
    pub fn table<const N: usize>(&mut self, label: &str, rows: &[[String; N]]) {
        self.styled_table(label, rows, &[]);
    }

    /// A table with a style for each row. The last column is wrapped.
    pub fn styled_table<const N: usize>(&mut self, label: &str, rows: &[[String; N]], styles: &[Style]) {
        let width = |column: usize| rows.iter().map(|row| display_width(&row[column])).max().unwrap_or(0);
        let before_last: usize = (0..N - 1).map(|column| width(column) + 2).sum();
        let last_width = (WIDTH - INDENT).saturating_sub(before_last).max(MIN_WRAPPED_WIDTH);
        let mut line_styles = Vec::new();
        let mut cells = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let style = styles.get(index).copied().unwrap_or(PLAIN);
            let last = wrapped(&row[N - 1], last_width);
            line_styles.extend(std::iter::repeat_n(style, last.len()));
            let mut row = row.to_vec();
            row[N - 1] = last.join("\n");
            cells.push(row);
        }
        let mut label = label;
        for (line, style) in columns(&cells, 0..0).into_iter().zip(line_styles) {
            self.labelled(label, &painted(style, &line));
            label = "";
        }
    }

    /// A label and lines that are not wrapped: drawings and commands to copy.
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

    /// A count with its reason, and the names that it counts below.
    pub fn count(&mut self, count: usize, reason: &str, names: &[String]) {
        let mut number = count.to_string();
        for line in wrapped(reason, WIDTH - INDENT - 6) {
            self.labelled("", &format!("{number:>4}  {line}"));
            number.clear();
        }
        let listed = names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
        let list = match names.len().saturating_sub(MAX_NAMES) {
            0 => listed,
            more => format!("{listed} and {more} more"),
        };
        for line in wrapped(&list, WIDTH - INDENT - 6) {
            self.labelled("", &format!("      {}", painted(FAINT, &line)));
        }
    }

    /// A line from another source, cut off if it is too long.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_wraps_between_words() {
        assert_eq!(wrapped("a bb  ccc dddd", 6), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrapped("a  b", 6), ["a  b"]);
        assert_eq!(wrapped("", 6), [""]);
        assert_eq!(wrapped("much-too-long x", 6), ["much-too-long", "x"]);
    }

    #[test]
    fn columns_align_left_or_right() {
        let rows = [["a", "1", "x"], ["long", "10", "  y\nz"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows, 1..2), ["a      1  x", "long  10    y", "          z"]);
    }

    #[test]
    fn tables_align_and_fit_the_page() {
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
