//! Logs on standard error: for people in a terminal, or JSON for a collector.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for each message.
    #[default]
    Human,
    /// One JSON object for each message.
    Json,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    #[error("`{filter}` is not a log filter ({reason}); write info, debug or apportion=debug")]
    Filter { filter: String, reason: ParseError },
    #[error(transparent)]
    Init(#[from] TryInitError),
}

/// Starts logging; `filter` has the form of tracing-subscriber, such as `info` or
/// `apportion=debug`.
pub fn start(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    // kube logs each retry; we log each failure once, with its consequence.
    let quiet = ["kube_client=off", "kube_runtime=off"];
    let missing = quiet
        .iter()
        .filter(|directive| !filter.contains(directive.trim_end_matches("=off")));
    let directives = missing.fold(filter.to_owned(), |all, directive| format!("{all},{directive}"));
    let filter = EnvFilter::try_new(directives).map_err(|reason| LoggingError::Filter {
        filter: filter.to_owned(),
        reason,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let started = match format {
        LogFormat::Human => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    Ok(started?)
}
