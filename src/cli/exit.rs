//! Exit codes, which are part of the public interface.

use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: success.
    Fine,
    /// 1: the command succeeded and found something to look at.
    Findings,
    /// 2: the input is invalid, or the command failed.
    BadInput,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Fine => 0,
            Exit::Findings => 1,
            Exit::BadInput => 2,
        })
    }
}
