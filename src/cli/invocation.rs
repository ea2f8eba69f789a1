//! By what name the program was started.
//!
//! kubectl runs `kubectl-apportion` for `kubectl apportion`: it is this program under another name, and says in its usage what
//! people typed.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory as _;

use super::args::Args;

/// The command as it was called: `program` is the first word of the process's arguments.
pub fn command(program: Option<&OsString>) -> clap::Command {
    let name = program.and_then(|program| Path::new(program).file_stem());
    if name.is_some_and(|name| name == "kubectl-apportion") {
        Args::command().bin_name("kubectl apportion")
    } else {
        Args::command()
    }
}
