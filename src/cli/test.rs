//! `apportion test`: expected outcomes beside policies, to be held against them in a pipeline.

pub mod text;

use apportion_analysis::policy_test::case;
use apportion_analysis::policy_test::document;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::exit::Exit;
use super::input;
use super::output::{self, Format, Printing};
use apportion_analysis::policy_test::case::Outcome;
use apportion_core::inventory::{Ledger, dump};
use apportion_core::policy::PolicySet;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of cases, or directories of them.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The policies of files that name none.
    #[arg(long, value_name = "DIR", default_value = "policies", env = "APPORTION_POLICIES")]
    policies: PathBuf,
    #[command(flatten)]
    printing: Printing,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut shelf = Shelf::default();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for file in files(&args.paths)? {
        let name = file.display().to_string();
        let document = document::read(&name, &input::text(&file)?)?;
        let beside = |path: &str| file.parent().unwrap_or(Path::new("")).join(path);
        let read = |path: &str| {
            let there = beside(path);
            Ok((there.display().to_string(), input::text(&there)?))
        };
        let policies = document
            .policies
            .as_ref()
            .map_or_else(|| args.policies.clone(), |path| beside(&path.value));
        let cluster = document.cluster.as_ref().map(|path| beside(&path.value));
        for case in &document.cases {
            let (policies, ledger) = shelf.take(&policies, cluster.as_deref())?;
            outcomes.push(case::run(&name, &case.value, policies, ledger, &read)?);
        }
    }
    match args.printing.output {
        Format::Text => output::print(&text::text(&outcomes), args.printing.color)?,
        Format::Json => output::print_json(&outcomes)?,
    }
    Ok(if outcomes.iter().all(|outcome| outcome.passed) {
        Exit::Fine
    } else {
        Exit::Findings
    })
}

/// The files that are meant, those of a directory by name.
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
            bail!("{} holds no cases: no file ends in .yaml or .yml", path.display());
        }
        files.sort();
        found.extend(files);
    }
    Ok(found)
}

/// What was read before: many cases share policies and a cluster.
#[derive(Default)]
struct Shelf {
    policies: HashMap<PathBuf, PolicySet>,
    clusters: HashMap<PathBuf, Ledger>,
}

impl Shelf {
    fn take(&mut self, policies: &Path, cluster: Option<&Path>) -> anyhow::Result<(&PolicySet, Ledger)> {
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
