//! Prints the output of commands.

use std::io::{ErrorKind, Write as _};

use anstream::{AutoStream, ColorChoice};
use anyhow::Context as _;

/// Flags of commands that print text or JSON.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Printing {
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
    /// When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Also to a file or a pipe.
    Always,
    /// Without colors.
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

/// Prints text to standard output. Colors are removed if they are not wanted.
pub fn print(text: &str, color: Color) -> anyhow::Result<()> {
    let mut stream = AutoStream::new(std::io::stdout().lock(), color.choice());
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        // A reader such as `head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Prints a value as JSON to standard output.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value).context("cannot write the output as JSON")?;
    text.push('\n');
    print(&text, Color::Never)
}
