//! A file of cases, as it is written. Every value that can be wrong keeps its place.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use apportion_core::admission::AdmissionOutcome;
use apportion_core::gpu::Strategy;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// The directory of the policies, from that of the file.
    #[serde(default)]
    pub policies: Option<Spanned<String>>,
    /// A dump of a cluster, from the directory of the file. Without one the cluster has no nodes: a policy's first choice that can
    /// serve a pod is taken.
    #[serde(default)]
    pub cluster: Option<Spanned<String>>,
    /// The cases.
    pub cases: Vec<Spanned<Case>>,
}

/// One pod, and what is to become of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: Spanned<String>,
    /// Where the pod is created.
    pub namespace: Namespace,
    /// The pod, or what makes one; its kind is `Pod` where it names none.
    #[serde(default)]
    pub pod: Option<Value>,
    /// A manifest with it instead, from the directory of the file.
    #[serde(default)]
    pub pod_file: Option<Spanned<String>>,
    /// What is to become of it.
    pub expect: Spanned<Expect>,
}

/// A namespace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels; those of the cluster's namespace of that name where there are none here.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

/// What is to become of a pod. What is not named may be anything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// The webhook's word for it: `rewritten`, `unchanged`, `denied`, `ungoverned`, `would_rewrite` and so on.
    #[serde(default)]
    pub outcome: Option<Spanned<String>>,
    /// The policy that governs.
    #[serde(default)]
    pub policy: Option<Spanned<String>>,
    /// The strategy.
    #[serde(default)]
    pub strategy: Option<Spanned<String>>,
    /// What the pod asks for afterwards, GPUs of all its containers by Kubernetes' rule.
    #[serde(default)]
    pub resources: Option<Spanned<BTreeMap<String, u64>>>,
    /// Words of the denial.
    #[serde(default)]
    pub denied: Option<Spanned<String>>,
    /// Words of warnings, of one warning each.
    #[serde(default)]
    pub warnings: Vec<Spanned<String>>,
}

/// Reads a file.
pub fn read(file: &str, text: &str) -> anyhow::Result<Document> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let place = error
            .location()
            .map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
        let message = error.without_snippet().to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        anyhow!("{file}{place}: {message}")
    })?;
    if document.cases.is_empty() {
        bail!("{file}: holds no cases; write at least one under `cases`");
    }
    for case in &document.cases {
        check(file, &case.value)?;
    }
    Ok(document)
}

fn check(file: &str, case: &Case) -> anyhow::Result<()> {
    let expect = &case.expect.value;
    match (&case.pod, &case.pod_file) {
        (Some(_), None) | (None, Some(_)) => {}
        (None, None) => bail!(
            "{}: the case has no pod; write `pod` or `podFile`",
            place(file, &case.name)
        ),
        (Some(_), Some(path)) => bail!("{}: the case has `pod` too; keep one of them", place(file, path)),
    }
    let known = |name: &str| AdmissionOutcome::ALL.iter().any(|outcome| outcome.as_str() == name);
    if let Some(outcome) = expect.outcome.as_ref().filter(|outcome| !known(&outcome.value)) {
        let names: Vec<&str> = AdmissionOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
        bail!(
            "{}: `{}` is not an outcome; use one of {}",
            place(file, outcome),
            outcome.value,
            names.join(", ")
        );
    }
    if let Some(strategy) = &expect.strategy {
        let parsed = strategy.value.parse::<Strategy>();
        parsed.map_err(|error| anyhow!("{}: {error}", place(file, strategy)))?;
    }
    let says_nothing = expect.outcome.is_none()
        && expect.policy.is_none()
        && expect.strategy.is_none()
        && expect.resources.is_none()
        && expect.denied.is_none()
        && expect.warnings.is_empty();
    if says_nothing {
        bail!(
            "{}: nothing is expected; name an outcome, policy, strategy, resources, denied or warnings",
            place(file, &case.expect)
        );
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
    fn mistakes_are_told_with_their_place() {
        let case = |rest: &str| format!("cases:\n- name: a\n  namespace: {{name: n}}\n{rest}");
        for (text, words) in [
            ("cases: []".to_owned(), "t.yaml: holds no cases"),
            ("cases:\n- nam: a\n".to_owned(), "t.yaml:2:3: unknown field"),
            (case("  expect: {outcome: denied}\n"), "t.yaml:2:9: the case has no pod"),
            (
                case("  pod: {}\n  podFile: x\n  expect: {outcome: denied}\n"),
                "t.yaml:5:12: the case has `pod` too",
            ),
            (
                case("  pod: {}\n  expect: {outcome: deny}\n"),
                "t.yaml:5:21: `deny` is not an outcome",
            ),
            (
                case("  pod: {}\n  expect: {strategy: slices}\n"),
                "t.yaml:5:22: `slices` is not a strategy",
            ),
            (case("  pod: {}\n  expect: {}\n"), "t.yaml:5:11: nothing is expected"),
        ] {
            let error = read("t.yaml", &text).unwrap_err().to_string();
            assert!(error.starts_with(words), "{text}: {error}");
        }
    }
}
