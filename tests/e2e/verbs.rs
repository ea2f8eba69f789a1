//! The verbs that look at a cluster, run as a user runs them: by a kubeconfig, with an exit status.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

/// `apportion` for one user.
pub(crate) struct Verbs {
    config: PathBuf,
}

/// What a verb printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    /// That of a verb that has to end so, and to complain of nothing.
    #[track_caller]
    pub(crate) fn with(self, status: i32) -> Self {
        assert_eq!((self.status, &*self.err), (Some(status), ""), "{}", self.out);
        self
    }

    /// What a verb complains of that can not do its work: one line, and nothing where results go.
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
            // A verb that finds a mistake does not read on.
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

/// A directory with the policies that ship, and one more or another.
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
