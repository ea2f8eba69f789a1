//! The kubectl plugin, completion scripts and man pages.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::command::apportion;

/// A directory for `PATH` with the plugin and its completion.
fn installed() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    symlink(
        env!("CARGO_BIN_EXE_apportion"),
        directory.path().join("kubectl-apportion"),
    )
    .unwrap();
    directory
}

fn dist(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(file)
}

/// Runs a program with the plugin on `PATH`.
fn run(program: &Path, args: &[&str], directory: &TempDir) -> Output {
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    Command::new(program)
        .args(args)
        .env("PATH", path)
        .env("HOME", directory.path())
        .env("KUBECONFIG", "/absent/kubeconfig")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// kubectl from envtest, if it is there. Prints why a test is skipped otherwise.
fn kubectl() -> Option<PathBuf> {
    let assets = std::env::var("KUBEBUILDER_ASSETS").unwrap_or_else(|_| "/usr/local/kubebuilder/bin".to_owned());
    let kubectl = Path::new(&assets).join("kubectl");
    if kubectl.is_file() {
        return Some(kubectl);
    }
    // Directly to stderr, because the test harness hides the output of passing tests.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: kubectl plugin in a real kubectl: no kubectl in {assets}; set KUBEBUILDER_ASSETS"
    );
    None
}

#[test]
fn as_a_plugin_its_help_shows_the_kubectl_command() {
    let directory = installed();
    let help = run(
        &directory.path().join("kubectl-apportion"),
        &["mig", "show", "--help"],
        &directory,
    );
    assert!(
        text(&help.stdout).contains("Usage: kubectl apportion mig show"),
        "{}",
        text(&help.stdout)
    );
    let wrong = run(&directory.path().join("kubectl-apportion"), &["mug"], &directory);
    assert!(
        text(&wrong.stderr).contains("Usage: kubectl apportion"),
        "{}",
        text(&wrong.stderr)
    );
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        apportion(&["mig", "show", "--help"])
            .stdout
            .contains("Usage: apportion mig show")
    );
}

#[test]
fn kubectl_finds_and_runs_it() {
    let Some(kubectl) = kubectl() else {
        return;
    };
    let directory = installed();
    let list = run(&kubectl, &["plugin", "list"], &directory);
    assert!(text(&list.stdout).contains("/kubectl-apportion"), "{list:?}");

    let shown = run(&kubectl, &["apportion", "mig", "show", "--product", "A30"], &directory);
    assert_eq!(
        text(&shown.stdout),
        apportion(&["mig", "show", "--product", "A30"]).stdout
    );
    let misfit = run(
        &kubectl,
        &["apportion", "mig", "check", "--product", "A30", "3x2g.12gb"],
        &directory,
    );
    assert_eq!(misfit.status.code(), Some(1), "the plugin's exit status is kubectl's");
}

#[test]
fn shipped_completion_scripts_match_the_printed_ones() {
    for (shell, file) in [
        ("bash", "apportion.bash"),
        ("zsh", "_apportion"),
        ("fish", "apportion.fish"),
    ] {
        let run = apportion(&["completion", shell]);
        let shipped = fs::read_to_string(dist("completions").join(file)).unwrap();
        assert_eq!(
            (run.status, run.stdout),
            (0, shipped),
            "{file} is out of date: make generate"
        );
    }
    assert_eq!(apportion(&["completion", "csh"]).status, 2);
}

/// bash completes with the script what the program knows.
#[test]
fn bash_completes_with_the_script() {
    let script = r#"
        source "$1"
        COMP_WORDS=(apportion mig ""); COMP_CWORD=2
        _apportion apportion "" mig
        echo "${COMPREPLY[@]}"
    "#;
    let run = Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(dist("completions/apportion.bash"))
        .output()
        .unwrap();
    let words = text(&run.stdout);
    assert!(
        ["show", "check", "plan"]
            .iter()
            .all(|verb| words.split_whitespace().any(|word| word == *verb)),
        "{run:?}"
    );
}

#[test]
fn every_verb_has_a_man_page() {
    let reference = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md")).unwrap();
    let help = apportion(&["--help"]).stdout;
    let verbs: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.contains(&"serve") && verbs.contains(&"mig"), "{verbs:?}");
    for verb in verbs {
        assert!(
            dist("man").join(format!("apportion-{verb}.1")).is_file(),
            "{verb}: make generate"
        );
        assert!(
            reference.contains(&format!("`apportion {verb}`")),
            "{verb}: make generate"
        );
    }
}
