//! Runs one test case.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use serde_saphyr::Spanned;

use super::test_file::{Expectations, TestCase, place};
use crate::dry_run::{DryRun, DryRunError};
use crate::workload::{self, Workload, WorkloadError};
use apportion_core::inventory::Ledger;
use apportion_core::k8s::Labels;
use apportion_core::k8s::{defaults, template};
use apportion_core::policy::PolicySet;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseResult {
    pub file: String,
    /// Where the case begins.
    pub line: u64,
    pub column: u64,
    pub name: String,
    /// Whether there are no failures.
    pub passed: bool,
    pub failures: Vec<Failure>,
    /// Why the pod got what it got.
    pub because: String,
}

/// An expectation that was not met.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Where the expectation is.
    pub line: u64,
    pub column: u64,
    pub field: &'static str,
    pub expected: String,
    pub actual: String,
}

/// Why a case cannot be run. `place` is `file:line:column`.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error("{place}: the case has no pod")]
    NoPod { place: String },
    #[error("{place}: pod is not an object")]
    Pod { place: String },
    #[error("{place}: pod.metadata is not an object")]
    Metadata { place: String },
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    #[error("{file}: contains {count} pods; a case needs exactly one")]
    PodCount { file: String, count: usize },
    #[error("{place}")]
    DryRun { place: String, source: DryRunError },
}

/// Runs a case of `file`. `pod_file` is the name and the text of the case's `podFile`, if it has
/// one.
pub fn run(
    file: &str,
    case: &TestCase,
    pod_file: Option<(&str, &str)>,
    policies: &PolicySet,
    mut ledger: Ledger,
) -> Result<CaseResult, CaseError> {
    let namespace = &case.namespace.name;
    if let Some(labels) = &case.namespace.labels {
        ledger.put_namespace(namespace, Labels::from_iter(labels.clone()));
    } else if ledger.inventory().namespace(namespace).is_none() {
        ledger.put_namespace(namespace, Labels::default());
    }
    let inventory = ledger.into_inventory(policies);
    let mut pod = pod(file, case, pod_file)?;
    defaults::fill_requests(&mut pod);
    let in_case = |source| CaseError::DryRun {
        place: place(file, &case.name),
        source,
    };
    let dry_run = DryRun::of(&pod, namespace, policies, &inventory).map_err(in_case)?;
    let failures = failures(&case.expect.value, &dry_run).map_err(in_case)?;
    Ok(CaseResult {
        file: file.to_owned(),
        line: case.name.referenced.line(),
        column: case.name.referenced.column(),
        name: case.name.value.clone(),
        passed: failures.is_empty(),
        failures,
        because: dry_run.because,
    })
}

fn pod(file: &str, case: &TestCase, pod_file: Option<(&str, &str)>) -> Result<Value, CaseError> {
    let case_place = || place(file, &case.name);
    let (source, text) = match (&case.pod, pod_file) {
        (Some(pod), _) => {
            let mut pod = pod.clone();
            let fields = pod
                .as_object_mut()
                .ok_or_else(|| CaseError::Pod { place: case_place() })?;
            fields.entry("kind").or_insert(json!("Pod"));
            let metadata = template::metadata_mut(fields).ok_or_else(|| CaseError::Metadata { place: case_place() })?;
            if !metadata.contains_key("name") && !metadata.contains_key("generateName") {
                metadata.insert("name".to_owned(), json!("pod"));
            }
            (case_place(), pod.to_string())
        }
        (None, Some((name, text))) => (name.to_owned(), text.to_owned()),
        (None, None) => return Err(CaseError::NoPod { place: case_place() }),
    };
    let manifest = workload::read(&source, &text, Some(&case.namespace.name))?;
    match <[Workload; 1]>::try_from(manifest.workloads) {
        Ok([workload]) => Ok(workload.pod),
        Err(workloads) => Err(CaseError::PodCount {
            file: source,
            count: workloads.len(),
        }),
    }
}

#[derive(Default)]
struct Failures(Vec<Failure>);

impl Failures {
    fn check<T>(&mut self, field: &'static str, at: &Spanned<T>, is_met: bool, expected: String, actual: String) {
        if !is_met {
            self.0.push(Failure {
                line: at.referenced.line(),
                column: at.referenced.column(),
                field,
                expected,
                actual,
            });
        }
    }
}

fn failures(expect: &Expectations, dry_run: &DryRun) -> Result<Vec<Failure>, DryRunError> {
    let mut failures = Failures::default();
    let none = || "none".to_owned();
    let names = [
        ("outcome", &expect.outcome, dry_run.outcome.as_str().to_owned()),
        ("policy", &expect.policy, dry_run.policy.clone().unwrap_or_else(none)),
        (
            "strategy",
            &expect.strategy,
            dry_run.strategy.map_or_else(none, str::to_owned),
        ),
    ];
    for (field, expected, actual) in names {
        if let Some(expected) = expected {
            let is_met = expected.value == actual;
            failures.check(field, expected, is_met, expected.value.clone(), actual);
        }
    }
    if let Some(expected) = &expect.resources {
        let record = if dry_run.denied { None } else { dry_run.record()? };
        let demand = record.iter().flat_map(|record| record.demand.iter());
        let actual = demand.map(|(resource, count)| (resource.to_string(), count)).collect();
        let is_met = expected.value == actual;
        let actual = if dry_run.denied {
            "denied".to_owned()
        } else {
            joined(&actual)
        };
        failures.check("resources", expected, is_met, joined(&expected.value), actual);
    }
    let part = |text: &str| format!("... {text} ...");
    if let Some(expected) = &expect.denied {
        let is_met = dry_run.denied && dry_run.because.contains(&expected.value);
        let actual = if dry_run.denied {
            dry_run.because.clone()
        } else {
            "admitted".to_owned()
        };
        failures.check("denied", expected, is_met, part(&expected.value), actual);
    }
    for expected in &expect.warnings {
        let is_met = dry_run.warnings.iter().any(|warning| warning.contains(&expected.value));
        let actual = if dry_run.warnings.is_empty() {
            none()
        } else {
            dry_run.warnings.join(" | ")
        };
        failures.check("warnings", expected, is_met, part(&expected.value), actual);
    }
    Ok(failures.0)
}

fn joined(resources: &BTreeMap<String, u64>) -> String {
    if resources.is_empty() {
        return "no GPU".to_owned();
    }
    let counts: Vec<String> = resources
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    counts.join(" + ")
}
