//! `apportion test`, as a pipeline calls it.

use serde_json::Value;

use crate::command::{apportion, apportion_reading};

#[test]
fn the_policies_that_ship_do_what_their_cases_say() {
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
fn a_failure_says_where_it_was_expected_and_what_came() {
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
fn a_mistake_has_a_place() {
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
