//! Runs commands that read a live cluster, as a user does.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

/// `apportion` for one user.
pub(crate) struct Verbs {
    config: PathBuf,
}

/// The output and exit status of a command.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    /// Asserts the exit status, and that stderr is empty.
    #[track_caller]
    pub(crate) fn with(self, status: i32) -> Self {
        assert_eq!((self.status, &*self.err), (Some(status), ""), "{}", self.out);
        self
    }

    /// Asserts that the command failed with one line on stderr and no output, and returns the line.
    #[track_caller]
    pub(crate) fn complaint(self) -> String {
        assert_eq!((self.status, &*self.out), (Some(2), ""), "{}", self.err);
        let line = self.err.strip_suffix('\n').unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        line.to_owned()
    }

    /// Its output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Verbs {
    pub(crate) fn new(config: PathBuf) -> Self {
        Verbs { config }
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Told {
        self.feed(args, "").await
    }

    /// Runs with `input` as standard input.
    pub(crate) async fn feed(&self, args: &[&str], input: &str) -> Told {
        let built = env!("CARGO_BIN_EXE_apportion").to_owned();
        let program = std::env::var("APPORTION_BINARY").unwrap_or(built);
        let mut child = Command::new(program)
            .args(args)
            .env("KUBECONFIG", &self.config)
            .env_remove("APPORTION_POLICIES")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let write = async move {
            // Writing fails if the command exits before it reads.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await;
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), write);
        let output = output.unwrap();
        Told {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A directory with the shipped policies and one added or replaced.
pub(crate) fn policies_with(file: &str, text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for shipped in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/policies")).unwrap() {
        let shipped = shipped.unwrap().path();
        if shipped.is_file() {
            std::fs::copy(&shipped, directory.path().join(shipped.file_name().unwrap())).unwrap();
        }
    }
    std::fs::write(directory.path().join(file), text).unwrap();
    directory
}

/// The path as a flag's value.
pub(crate) fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}
