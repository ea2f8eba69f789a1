//! `apportion test`.

use serde_json::Value;

use crate::command::{apportion, apportion_reading};

#[test]
fn the_shipped_policies_pass_their_tests() {
    let run = apportion(&["test", "policies/tests"]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("all as expected"));
}

const CASE: &str = "\
cases:
- name: a case
  namespace: {name: n, labels: {apportion.dev/policy: development}}
  pod: {spec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 2}}}]}}
  expect:
    strategy: exclusive
    resources: {nvidia.com/gpu: 2}
    warnings: [purple]
";

#[test]
fn a_failure_shows_the_place_the_expected_and_the_actual_value() {
    let run = apportion_reading(CASE, &["test", "-"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    for words in [
        "FAILED  a case",
        "-:6:15: strategy\n          expected: exclusive\n          got:      time-slicing",
        "-:7:16: resources",
        "-:8:16: warnings",
        "1 of 1 case failed",
    ] {
        assert!(run.stdout.contains(words), "{words}\n{}", run.stdout);
    }
    let run = apportion_reading(CASE, &["test", "-", "--output", "json"]);
    let outcomes: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(outcomes[0]["failures"].as_array().unwrap().len(), 3);
    assert_eq!((run.status, &outcomes[0]["passed"]), (1, &Value::Bool(false)));
}

#[test]
fn an_invalid_test_file_is_reported_with_its_place() {
    for (text, words) in [
        ("cases:\n- nam: x\n", "-:2:3: "),
        ("cases: [", "-:"),
        (
            &*CASE.replace("strategy: exclusive", "strategy: whole"),
            "-:6:15: `whole` is not a strategy",
        ),
        (&*CASE.replace("cases:", "policies: /absent\ncases:"), "/absent"),
    ] {
        let run = apportion_reading(text, &["test", "-"]);
        assert!(run.status == 2 && run.stderr.contains(words), "{words}\n{}", run.stderr);
    }
}
