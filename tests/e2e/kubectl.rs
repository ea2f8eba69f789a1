//! `kubectl`, as a user has it: what it prints is what people read.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// `kubectl` for one cluster.
pub(crate) struct Kubectl {
    program: PathBuf,
    config: PathBuf,
    home: PathBuf,
}

/// What a command printed.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The output of a command that has to succeed.
    #[track_caller]
    pub(crate) fn fine(self) -> Self {
        assert!(self.ok, "{}{}", self.out, self.err);
        self
    }
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, config: PathBuf, home: &Path) -> Self {
        Kubectl {
            program,
            config,
            home: home.to_owned(),
        }
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Said {
        self.feed(args, "").await
    }

    /// Runs with `input` as standard input, for `-f -`.
    pub(crate) async fn feed(&self, args: &[&str], input: &str) -> Said {
        let mut child = Command::new(&self.program)
            .args(args)
            .env("KUBECONFIG", &self.config)
            .env("HOME", &self.home)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        Said {
            ok: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `kubectl create` of a manifest.
    pub(crate) async fn create(&self, manifest: &str) -> Said {
        self.feed(&["create", "-f", "-"], manifest).await
    }
}
