//! `apportion lint`: what is wrong or doubtful in policies and in NVIDIA's files, alone and beside a cluster.

pub mod files;
pub mod snippet;

use apportion_core::diagnostics::counted;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::exit::Exit;
use super::input;
use super::output::{self, Format, Printing};
use apportion_analysis::lint::{lint, lint_cluster};
use apportion_core::diagnostics::{Finding, Severity};
use apportion_core::inventory::Inventory;
use apportion_core::policy::{Policy, PolicySet};
use apportion_mig::product::Product;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    given: files::Given,
    /// The policies; by default those in `policies`, or none where files are given.
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    /// A cluster to hold them against: what `kubectl get nodes,namespaces,pods -A -o json` prints.
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let cluster = match &args.cluster {
        Some(file) => Some((file.display().to_string(), input::cluster(file, &PolicySet::default())?)),
        None => None,
    };
    let (mut findings, mut texts, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    let standard = args.given.is_empty().then(|| Path::new("policies"));
    if let Some(directory) = args.policies.as_deref().or(standard) {
        texts = input::policy_texts(directory)?;
        match input::policies_of(directory, &texts)? {
            Ok(policies) => {
                subjects.push(match policies.len() {
                    1 => "1 policy".to_owned(),
                    many => format!("{many} policies"),
                });
                findings = all(policies, cluster.as_ref());
            }
            // What can not be read can not be linted; the rest would be judged as if it were alone.
            Err(found) => {
                subjects.push(counted(texts.len(), "file"));
                findings = found;
            }
        }
    }
    if !args.given.is_empty() {
        let (found, read) = args.given.lint(cluster.as_ref())?;
        findings.extend(found);
        texts.extend(read);
        subjects.push(match args.given.count() {
            0 => "the settings".to_owned(),
            count => counted(count, "file"),
        });
    }
    if let Some((file, inventory)) = &cluster
        && !findings.iter().any(|finding| finding.severity == Severity::Error)
    {
        subjects.push(counted(inventory.namespaces().count(), "namespace"));
        subjects.push(counted(inventory.node_count(), "node"));
        // What a policy and the cluster do not say alike stands with the rest on that policy; the cluster's own comes last.
        findings.sort_by_key(|finding| (*finding.location.file == **file, finding.location.clone()));
    }
    match args.printing.output {
        Format::Text => {
            let text = snippet::text(&findings, &texts, &joined(&subjects));
            output::print(&text, args.printing.color)?;
        }
        Format::Json => output::print_json(&findings.iter().map(Entry::of).collect::<Vec<_>>())?,
    }
    Ok(match findings.iter().map(|finding| finding.severity).min() {
        None => Exit::Fine,
        Some(Severity::Warning) => Exit::Findings,
        Some(Severity::Error) => Exit::BadInput,
    })
}

fn all(policies: Vec<Policy>, cluster: Option<&(String, Inventory)>) -> Vec<Finding> {
    let seen: Vec<&Product> = cluster
        .iter()
        .flat_map(|(_, inventory)| inventory.nodes())
        .flat_map(|node| &node.offers.offers)
        .filter_map(|offer| offer.product.as_ref())
        .collect();
    let mut findings = lint(&policies, &seen);
    if let Some((file, inventory)) = cluster {
        findings.extend(lint_cluster(&PolicySet::new(policies), inventory, file));
    }
    findings
}

/// `a`, `a and b`, `a, b and c`.
fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A finding as `--output json` prints it; the answer is a list of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'f> {
    /// `error` or `warning`.
    severity: &'static str,
    /// The file.
    file: &'f str,
    /// Counted from 1; `null` for the file as a whole.
    line: Option<u64>,
    /// Counted from 1, in characters; `null` for the line as a whole.
    column: Option<u64>,
    /// The field of the document, or the object of the cluster; `null` where none is to blame.
    field: Option<&'f str>,
    /// What, and how to mend it.
    message: &'f str,
}

impl<'f> Entry<'f> {
    fn of(finding: &'f Finding) -> Self {
        let known = |place: u64| Some(place).filter(|place| *place > 0);
        Entry {
            severity: finding.severity.as_str(),
            file: &finding.location.file,
            line: known(finding.location.line),
            column: known(finding.location.column),
            field: Some(finding.field.as_str()).filter(|field| !field.is_empty()),
            message: &finding.message,
        }
    }
}
