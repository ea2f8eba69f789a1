//! `apportion completion`: completion scripts for shells.

use clap_complete::Shell;

use super::exit::Exit;
use super::output::{self, Color};

/// Flags of `completion`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs `completion` for `command`.
pub fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "apportion", &mut script);
    output::print(&String::from_utf8(script)?, Color::Never)?;
    Ok(Exit::Fine)
}
