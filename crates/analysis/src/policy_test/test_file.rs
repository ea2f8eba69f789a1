//! A test file. Every value that can be wrong keeps its place.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _, Spanned};

use apportion_core::admission::AdmissionOutcome;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::strategy::UnknownStrategy;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestFile {
    /// The directory of the policies, relative to the file.
    #[serde(default)]
    pub policies: Option<Spanned<String>>,
    /// A cluster dump, relative to the file. Without one the cluster has no nodes, and a pod gets
    /// the first choice of its policy that can serve it.
    #[serde(default)]
    pub cluster: Option<Spanned<String>>,
    pub cases: Vec<Spanned<TestCase>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestCase {
    pub name: Spanned<String>,
    /// Where the pod is created.
    pub namespace: Namespace,
    /// The pod, or an object that creates pods; the default kind is `Pod`.
    #[serde(default)]
    pub pod: Option<Value>,
    /// A manifest with the pod, relative to the file. Replaces `pod`.
    #[serde(default)]
    pub pod_file: Option<Spanned<String>>,
    pub expect: Spanned<Expectations>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    pub name: String,
    /// The default is the labels of the cluster's namespace of that name.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

/// The expected result; what is not set is not checked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectations {
    /// The value of the webhook's metric: `rewritten`, `unchanged`, `denied`, `ungoverned`,
    /// `would_rewrite` and so on.
    #[serde(default)]
    pub outcome: Option<Spanned<String>>,
    /// The name of the governing policy.
    #[serde(default)]
    pub policy: Option<Spanned<String>>,
    #[serde(default)]
    pub strategy: Option<Spanned<String>>,
    /// The effective request after admission, by Kubernetes' rule for init containers.
    #[serde(default)]
    pub resources: Option<Spanned<BTreeMap<String, u64>>>,
    /// Part of the denial's message.
    #[serde(default)]
    pub denied: Option<Spanned<String>>,
    /// Parts of warnings, each of one warning.
    #[serde(default)]
    pub warnings: Vec<Spanned<String>>,
}

/// Why a test file is invalid. `place` is `file:line:column`.
#[derive(Debug, thiserror::Error)]
pub enum TestFileError {
    /// `place` is the file alone if the parser gives no location.
    #[error("{place}: {message}")]
    Yaml { place: String, message: String },
    #[error("{file}: contains no cases; write at least one under `cases`")]
    NoCases { file: String },
    #[error("{place}: the case has no pod; write `pod` or `podFile`")]
    NoPod { place: String },
    #[error("{place}: the case also has `pod`; keep one of them")]
    TwoPods { place: String },
    #[error("{place}: `{outcome}` is not an outcome; use one of {}", outcomes().join(", "))]
    UnknownOutcome { place: String, outcome: String },
    /// Displays its cause, so it has no source.
    #[error("{place}: {error}")]
    UnknownStrategy { place: String, error: UnknownStrategy },
    #[error("{place}: the case expects nothing; set outcome, policy, strategy, resources, denied or warnings")]
    NoExpectations { place: String },
}

impl TestFile {
    /// Parses and checks `text`, the content of `file`.
    pub fn read(file: &str, text: &str) -> Result<Self, TestFileError> {
        let document: TestFile = serde_saphyr::from_str(text).map_err(|error| TestFileError::Yaml {
            place: error
                .location()
                .map_or_else(|| file.to_owned(), |at| format!("{file}:{}:{}", at.line(), at.column())),
            message: DefaultMessageFormatter
                .format_message(error.without_snippet())
                .into_owned(),
        })?;
        if document.cases.is_empty() {
            return Err(TestFileError::NoCases { file: file.to_owned() });
        }
        for case in &document.cases {
            check(file, &case.value)?;
        }
        Ok(document)
    }
}

fn outcomes() -> Vec<&'static str> {
    AdmissionOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect()
}

fn check(file: &str, case: &TestCase) -> Result<(), TestFileError> {
    match (&case.pod, &case.pod_file) {
        (Some(_), None) | (None, Some(_)) => {}
        (None, None) => {
            return Err(TestFileError::NoPod {
                place: place(file, &case.name),
            });
        }
        (Some(_), Some(path)) => {
            return Err(TestFileError::TwoPods {
                place: place(file, path),
            });
        }
    }
    let expect = &case.expect.value;
    if let Some(outcome) = &expect.outcome
        && !outcomes().contains(&outcome.value.as_str())
    {
        return Err(TestFileError::UnknownOutcome {
            place: place(file, outcome),
            outcome: outcome.value.clone(),
        });
    }
    if let Some(strategy) = &expect.strategy {
        strategy
            .value
            .parse::<Strategy>()
            .map_err(|error| TestFileError::UnknownStrategy {
                place: place(file, strategy),
                error,
            })?;
    }
    let is_empty = expect.outcome.is_none()
        && expect.policy.is_none()
        && expect.strategy.is_none()
        && expect.resources.is_none()
        && expect.denied.is_none()
        && expect.warnings.is_empty();
    if is_empty {
        return Err(TestFileError::NoExpectations {
            place: place(file, &case.expect),
        });
    }
    Ok(())
}

/// `file:line:column`.
pub fn place<T>(file: &str, value: &Spanned<T>) -> String {
    format!("{file}:{}:{}", value.referenced.line(), value.referenced.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_line_and_column() {
        let case = |rest: &str| format!("cases:\n- name: a\n  namespace: {{name: n}}\n{rest}");
        for (text, expected) in [
            ("cases: []".to_owned(), "t.yaml: contains no cases"),
            ("cases:\n- nam: a\n".to_owned(), "t.yaml:2:3: unknown field"),
            (case("  expect: {outcome: denied}\n"), "t.yaml:2:9: the case has no pod"),
            (
                case("  pod: {}\n  podFile: x\n  expect: {outcome: denied}\n"),
                "t.yaml:5:12: the case also has `pod`",
            ),
            (
                case("  pod: {}\n  expect: {outcome: deny}\n"),
                "t.yaml:5:21: `deny` is not an outcome",
            ),
            (
                case("  pod: {}\n  expect: {strategy: slices}\n"),
                "t.yaml:5:22: `slices` is not a strategy",
            ),
            (
                case("  pod: {}\n  expect: {}\n"),
                "t.yaml:5:11: the case expects nothing",
            ),
        ] {
            let error = TestFile::read("t.yaml", &text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
