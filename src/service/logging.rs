//! Logs: for people in a terminal, or JSON for a collector.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line for a person.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error; `filter` is of tracing-subscriber's form, such as `info` or `apportion=debug`.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    // kube says of each retry what we say once, with what it means here.
    let quiet = ["kube_client=off", "kube_runtime=off"];
    let own = quiet
        .iter()
        .filter(|directive| !filter.contains(&directive[..directive.len() - 4]));
    let all = own.fold(filter.to_owned(), |all, directive| format!("{all},{directive}"));
    let filter = EnvFilter::try_new(all)
        .map_err(|error| format!("`{filter}` is no log filter ({error}); write info, debug or apportion=debug"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let started = match format {
        LogFormat::Human => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| error.to_string())
}
