//! `apportion lint` on policies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use serde_json::Value;

use crate::command::{CLUSTER, Run, apportion};

/// Lints one policy file. The output omits its directory.
fn lint(text: &str, more: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("p.yaml"), text).unwrap();
    let path = directory.path().display().to_string();
    let mut run = apportion(&[&["lint", "--policies", &path], more].concat());
    run.stdout = run.stdout.replace(&path, "DIR");
    run.stderr = run.stderr.replace(&path, "DIR");
    run
}

const DOUBTFUL: &str = "\
apiVersion: apportion.dev/v1alpha1
kind: GpuSharingPolicy
metadata:
  name: vision
spec:
  namespaceSelector: {matchLabels: {team: vision}}
  strategies:
  - strategy: mig
    profiles: [2g.20gb, 1g.10gb]
    products: [A1000, H200]
  - strategy: mps
    products: [T4]
---
apiVersion: apportion.dev/v1alpha1
kind: GpuSharingPolicy
metadata:
  name: nightly
spec:
  namespaceSelector: {matchLabels: {apportion.dev/policy: development}}
  podSelector: {matchLabels: {run: nightly}}
  strategies:
  - strategy: time-slicing
---
apiVersion: apportion.dev/v1alpha1
kind: GpuSharingPolicy
metadata:
  name: development
spec:
  strategies:
  - strategy: time-slicing
";

#[test]
fn the_shipped_policies_have_no_findings() {
    let run = apportion(&["lint"]);
    assert_eq!(run.shown(), "nothing found in 4 policies\n--- exit status 0\n");
}

#[test]
fn the_example_cluster_has_warnings() {
    insta::assert_snapshot!(apportion(&["lint", "--cluster", CLUSTER]).shown());
}

#[test]
fn warnings_show_the_source_line() {
    insta::assert_snapshot!(lint(DOUBTFUL, &[]).shown());
}

#[test]
fn warnings_that_need_a_cluster() {
    insta::assert_snapshot!(lint(DOUBTFUL, &["--cluster", CLUSTER]).shown());
}

#[test]
fn errors_show_the_source_line() {
    let text = "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {name: p}\nspec:\n  mode: Warm\n  strategies:\n  - strategy: mpss\n  - strategy: mig\n    profiles: [1g.10gb]\n    products: [A30, T4]\n";
    insta::assert_snapshot!(lint(text, &[]).shown());
}

#[test]
fn json_has_one_entry_per_finding() {
    let run = lint(DOUBTFUL, &["--output", "json", "--cluster", CLUSTER]);
    let entries: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    let text = lint(DOUBTFUL, &["--cluster", CLUSTER]).stdout;
    assert_eq!((run.status, entries.len()), (1, text.matches(": warning: ").count()));
    for entry in &entries {
        assert!(text.contains(entry["message"].as_str().unwrap()), "{entry}");
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&entries[..2]).unwrap());
    assert_eq!(apportion(&["lint", "--output", "json"]).stdout, "[]\n");
}

#[test]
fn unreadable_input_exits_2() {
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().display().to_string();
    for (args, words) in [
        (vec!["--policies", "absent"], "cannot read the policies in absent"),
        (vec!["--policies", &empty], "has no policies: no file ends in .yaml"),
        (vec!["--cluster", "absent.json"], "cannot read absent.json"),
        (vec!["--cluster", "Cargo.toml"], "not a cluster file"),
    ] {
        let run = apportion(&[&["lint"], &args[..]].concat());
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
}
