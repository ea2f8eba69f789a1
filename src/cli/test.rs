//! `apportion test`: checks policies against expected results, for use in a pipeline.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::exit::Exit;
use super::input;
use super::output::{self, Format, Printing};
use super::page::{BAD, FAINT, GOOD, painted};
use apportion_analysis::policy_test::{self, CaseResult, TestFile, test_file};
use apportion_core::diagnostics::counted;
use apportion_core::inventory::{Ledger, dump};
use apportion_core::policy::PolicySet;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Test files, or directories of them.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Directory of policies for test files without `policies`.
    #[arg(long, value_name = "DIR", default_value = "policies", env = "APPORTION_POLICIES")]
    policies: PathBuf,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut inputs = Inputs::default();
    let mut results: Vec<CaseResult> = Vec::new();
    for file in files(&args.paths)? {
        let name = file.display().to_string();
        let tests = TestFile::read(&name, &input::text(&file)?)?;
        let resolve = |path: &str| file.parent().unwrap_or(Path::new("")).join(path);
        let policies = tests
            .policies
            .as_ref()
            .map_or_else(|| args.policies.clone(), |path| resolve(&path.value));
        let cluster = tests.cluster.as_ref().map(|path| resolve(&path.value));
        for case in &tests.cases {
            let case = &case.value;
            let (policies, ledger) = inputs.load(&policies, cluster.as_deref())?;
            let pod_file = match &case.pod_file {
                Some(path) => {
                    let file = resolve(&path.value);
                    let text = input::text(&file).with_context(|| test_file::place(&name, path))?;
                    Some((file.display().to_string(), text))
                }
                None => None,
            };
            let pod_file = pod_file.as_ref().map(|(file, text)| (&**file, &**text));
            results.push(policy_test::run(&name, case, pod_file, policies, ledger)?);
        }
    }
    match args.printing.output {
        Format::Text => output::print(&text(&results), args.printing.color)?,
        Format::Json => output::print_json(&results)?,
    }
    Ok(if results.iter().all(|result| result.passed) {
        Exit::Fine
    } else {
        Exit::Findings
    })
}

/// The test files at `paths`; those of a directory are sorted by name.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files.retain(|file| {
            file.extension()
                .is_some_and(|ending| ending == "yaml" || ending == "yml")
        });
        if files.is_empty() {
            bail!(
                "{} contains no test files: no file ends in .yaml or .yml",
                path.display()
            );
        }
        files.sort();
        found.extend(files);
    }
    Ok(found)
}

/// Policies and clusters that have been read, because many cases share them.
#[derive(Default)]
struct Inputs {
    policies: HashMap<PathBuf, PolicySet>,
    clusters: HashMap<PathBuf, Ledger>,
}

impl Inputs {
    fn load(&mut self, policies: &Path, cluster: Option<&Path>) -> anyhow::Result<(&PolicySet, Ledger)> {
        if !self.policies.contains_key(policies) {
            self.policies.insert(policies.to_owned(), input::policy_set(policies)?);
        }
        let Some(file) = cluster else {
            return Ok((&self.policies[policies], Ledger::default()));
        };
        if !self.clusters.contains_key(file) {
            let ledger = dump::read(&input::text(file)?).with_context(|| file.display().to_string())?;
            self.clusters.insert(file.to_owned(), ledger);
        }
        Ok((&self.policies[policies], self.clusters[file].clone()))
    }
}

/// All results and a summary.
fn text(results: &[CaseResult]) -> String {
    let mut text = String::new();
    for result in results {
        if result.passed {
            let _ = writeln!(text, "{}  {}", painted(GOOD, "ok    "), result.name);
            continue;
        }
        let _ = writeln!(text, "{}  {}", painted(BAD, "FAILED"), result.name);
        for failure in &result.failures {
            let _ = writeln!(
                text,
                "        {}:{}:{}: {}\n          {}\n          {}",
                result.file,
                failure.line,
                failure.column,
                failure.field,
                painted(GOOD, &format!("expected: {}", failure.expected)),
                painted(BAD, &format!("got:      {}", failure.actual)),
            );
        }
        let _ = writeln!(text, "        {}", painted(FAINT, &result.because));
    }
    let failed = results.iter().filter(|result| !result.passed).count();
    let cases = counted(results.len(), "case");
    let summary = match failed {
        0 => painted(GOOD, &format!("{cases}, all as expected")),
        failed => painted(BAD, &format!("{failed} of {cases} failed")),
    };
    text.push_str(&summary);
    text.push('\n');
    text
}
