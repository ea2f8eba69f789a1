//! `apportion serve`.

use super::exit::Exit;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_args: Args) -> anyhow::Result<Exit> {
    Ok(Exit::Fine)
}
