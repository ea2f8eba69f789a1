//! The name under which the program was started.
//!
//! For `kubectl apportion`, kubectl runs a program named `kubectl-apportion`. That is this program
//! under another name, whose usage text shows the command that the user typed.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory as _;

use super::args::Args;

/// Returns the command with its name in usage texts; `program` is the first argument of the process.
pub fn command(program: Option<&OsString>) -> clap::Command {
    let name = program.and_then(|program| Path::new(program).file_stem());
    if name.is_some_and(|name| name == "kubectl-apportion") {
        Args::command().bin_name("kubectl apportion")
    } else {
        Args::command()
    }
}
