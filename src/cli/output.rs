//! How a verb's answer is printed.

use std::io::{ErrorKind, Write as _};

use anstream::{AutoStream, ColorChoice};
use anyhow::Context as _;

/// Flags of verbs that print an answer.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Printing {
    /// What to print: text for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
    /// When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal that wants them.
    #[default]
    Auto,
    /// Also into a file or a pipe.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    fn choice(self) -> ColorChoice {
        match self {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::AlwaysAnsi,
            Color::Never => ColorChoice::Never,
        }
    }
}

/// Prints a text to standard output; its colours are taken out where they are not wanted.
pub fn print(text: &str, color: Color) -> anyhow::Result<()> {
    let mut stream = AutoStream::new(std::io::stdout().lock(), color.choice());
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("cannot write to standard output"),
    }
}

/// Prints a value to standard output as JSON.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value).context("cannot write the answer as JSON")?;
    text.push('\n');
    print(&text, Color::Never)
}
