//! The command line: one module for each verb.

pub mod args;
pub mod audit;
pub mod certificate;
pub mod completion;
pub mod exit;
pub mod explain;
pub mod input;
pub mod invocation;
pub mod lint;
pub mod map;
pub mod mig;
pub mod node_groups;
pub mod output;
pub mod page;
pub mod render;
pub mod replay;
pub mod serve;
pub mod test;

use std::io::Write as _;
use std::process::ExitCode;

use clap::FromArgMatches as _;

pub use args::{Args, Verb};
pub use exit::Exit;

/// Runs the verb that the arguments of this process name.
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let mut command = invocation::command(words.first());
    match run(&mut command, &words) {
        Ok(exit) => exit.into(),
        Err(error) => {
            // If the message cannot be written, the exit code still tells.
            let _ = writeln!(anstream::stderr(), "apportion: {error:#}");
            Exit::BadInput.into()
        }
    }
}

fn run(command: &mut clap::Command, words: &[std::ffi::OsString]) -> anyhow::Result<Exit> {
    let matches = command
        .try_get_matches_from_mut(words)
        .unwrap_or_else(|error| error.exit());
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.format(command).exit());
    match args.verb {
        Verb::Serve(args) => serve::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Lint(args) => lint::run(&args),
        Verb::Render(args) => render::run(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::Mig(args) => mig::run(&args),
        Verb::NodeGroups(args) => node_groups::run(&args),
        Verb::Map(args) => map::run(&args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Completion(args) => completion::run(&args, invocation::command(None)),
    }
}
