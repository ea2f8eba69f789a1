//! One case: the pod is put to the webhook's own function, and the answer is held against what was expected.

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;
use serde_json::{Value, json};
use serde_saphyr::Spanned;

use super::document::{Case, Expect, place};
use crate::explain::workload;
use crate::verdict::Verdict;
use apportion_core::inventory::Ledger;
use apportion_core::k8s::defaults;
use apportion_core::k8s::text::Labels;
use apportion_core::policy::PolicySet;

/// What came of a case.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The file.
    pub file: String,
    /// Where the case begins.
    pub line: u64,
    /// Where in the line.
    pub column: u64,
    /// Its name.
    pub name: String,
    /// Whether all is as expected.
    pub passed: bool,
    /// What is not.
    pub failures: Vec<Failure>,
    /// Why the pod got what it got.
    pub because: String,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Where the expectation stands.
    pub line: u64,
    /// Where in the line.
    pub column: u64,
    /// Which one it is.
    pub field: &'static str,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub actual: String,
}

/// Runs a case. `read` returns the full name and the text of a file beside the tests.
pub fn run(
    file: &str,
    case: &Case,
    policies: &PolicySet,
    mut ledger: Ledger,
    read: &impl Fn(&str) -> anyhow::Result<(String, String)>,
) -> anyhow::Result<Outcome> {
    let namespace = &case.namespace.name;
    if let Some(labels) = &case.namespace.labels {
        ledger.put_namespace(namespace, Labels::from_iter(labels.clone()));
    } else if ledger.inventory().namespace(namespace).is_none() {
        ledger.put_namespace(namespace, Labels::default());
    }
    let inventory = ledger.into_inventory(policies);
    let mut pod = pod(file, case, read)?;
    defaults::fill_requests(&mut pod);
    let verdict = Verdict::of(&pod, namespace, policies, &inventory).with_context(|| place(file, &case.name))?;
    let failures = failures(&case.expect.value, &verdict).with_context(|| place(file, &case.name))?;
    Ok(Outcome {
        file: file.to_owned(),
        line: case.name.referenced.line(),
        column: case.name.referenced.column(),
        name: case.name.value.clone(),
        passed: failures.is_empty(),
        failures,
        because: verdict.because,
    })
}

fn pod(file: &str, case: &Case, read: &impl Fn(&str) -> anyhow::Result<(String, String)>) -> anyhow::Result<Value> {
    let (source, text) = match (&case.pod, &case.pod_file) {
        (Some(pod), _) => {
            let mut pod = pod.clone();
            let fields = pod
                .as_object_mut()
                .ok_or_else(|| anyhow!("{}: pod: has no fields", place(file, &case.name)))?;
            fields.entry("kind").or_insert(json!("Pod"));
            let metadata = apportion_core::k8s::template::metadata(fields).context("pod.metadata has no fields")?;
            if !metadata.contains_key("name") && !metadata.contains_key("generateName") {
                metadata.insert("name".to_owned(), json!("pod"));
            }
            (place(file, &case.name), pod.to_string())
        }
        (None, Some(path)) => read(&path.value).with_context(|| place(file, path))?,
        (None, None) => bail!("{}: the case has no pod", place(file, &case.name)),
    };
    let found = workload::read(&source, &text, Some(&case.namespace.name))?;
    match <[workload::Workload; 1]>::try_from(found.workloads) {
        Ok([one]) => Ok(one.pod),
        Err(all) => bail!("{source}: holds {} pods; a case is about one", all.len()),
    }
}

fn failures(expect: &Expect, verdict: &Verdict) -> anyhow::Result<Vec<Failure>> {
    let mut failures = Vec::new();
    let mut hold = |field: &'static str, at: (u64, u64), expected: String, actual: String, holds: bool| {
        if !holds {
            failures.push(Failure {
                line: at.0,
                column: at.1,
                field,
                expected,
                actual,
            });
        }
    };
    let none = || "none".to_owned();
    let words = [
        ("outcome", &expect.outcome, verdict.outcome.as_str().to_owned()),
        ("policy", &expect.policy, verdict.policy.clone().unwrap_or_else(none)),
        (
            "strategy",
            &expect.strategy,
            verdict.strategy.map_or_else(none, str::to_owned),
        ),
    ];
    for (field, expected, actual) in words {
        if let Some(expected) = expected {
            let holds = expected.value == actual;
            hold(field, at(expected), expected.value.clone(), actual, holds);
        }
    }
    if let Some(expected) = &expect.resources {
        let record = if verdict.denied { None } else { verdict.record()? };
        let demand = record.iter().flat_map(|record| record.demand.iter());
        let actual = demand.map(|(resource, count)| (resource.to_string(), count)).collect();
        let holds = expected.value == actual;
        let actual = if verdict.denied {
            "denied".to_owned()
        } else {
            listed(&actual)
        };
        hold("resources", at(expected), listed(&expected.value), actual, holds);
    }
    if let Some(expected) = &expect.denied {
        let holds = verdict.denied && verdict.because.contains(&expected.value);
        let actual = if verdict.denied {
            verdict.because.clone()
        } else {
            "admitted".to_owned()
        };
        hold(
            "denied",
            at(expected),
            format!("... {} ...", expected.value),
            actual,
            holds,
        );
    }
    for expected in &expect.warnings {
        let holds = verdict.warnings.iter().any(|warning| warning.contains(&expected.value));
        let actual = if verdict.warnings.is_empty() {
            none()
        } else {
            verdict.warnings.join(" | ")
        };
        hold(
            "warnings",
            at(expected),
            format!("... {} ...", expected.value),
            actual,
            holds,
        );
    }
    Ok(failures)
}

fn at<T>(value: &Spanned<T>) -> (u64, u64) {
    (value.referenced.line(), value.referenced.column())
}

fn listed(resources: &std::collections::BTreeMap<String, u64>) -> String {
    if resources.is_empty() {
        return "no GPU".to_owned();
    }
    let each: Vec<String> = resources
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    each.join(" + ")
}
