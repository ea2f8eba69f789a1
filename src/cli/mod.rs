//! The command line: what was typed, and who carries it out.

pub mod args;
pub mod audit;
pub mod certificate;
pub mod exit;
pub mod explain;
pub mod input;
pub mod lint;
pub mod output;
pub mod page;
pub mod serve;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

pub use args::{Args, Verb};
pub use exit::Exit;

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.verb {
        Verb::Serve(args) => serve::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Lint(args) => lint::run(&args),
        Verb::Audit(args) => audit::run(&args),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            // Nothing is left to do when the message can not be written.
            let _ = writeln!(anstream::stderr(), "apportion: {error:#}");
            Exit::BadInput.into()
        }
    }
}
