//! Runs the real binary from the root of the repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::process::{Command, Stdio};

pub(crate) const CLUSTER: &str = "examples/cluster/cluster.json";

/// The output and exit status of a run.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Output and exit status as one text, for snapshots.
    pub(crate) fn shown(&self) -> String {
        let stderr = match self.stderr.as_str() {
            "" => String::new(),
            stderr => format!("--- stderr\n{stderr}"),
        };
        format!("{}{stderr}--- exit status {}\n", self.stdout, self.status)
    }
}

/// Runs `apportion` with nothing on its standard input.
pub(crate) fn apportion(args: &[&str]) -> Run {
    apportion_reading("", args)
}

/// Runs `apportion` with a text on its standard input.
pub(crate) fn apportion_reading(stdin: &str, args: &[&str]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_apportion"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // The developer's settings must not matter.
        .env_remove("APPORTION_POLICIES")
        .env("KUBECONFIG", "/absent/kubeconfig")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Writing fails if the program exits before it reads.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let done = child.wait_with_output().unwrap();
    Run {
        status: done.status.code().unwrap(),
        stdout: String::from_utf8(done.stdout).unwrap(),
        stderr: String::from_utf8(done.stderr).unwrap(),
    }
}
