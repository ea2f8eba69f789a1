//! `apportion lint`: checks policies and the files of NVIDIA's components, on their own and against
//! a cluster.

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

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    inputs: files::Inputs,
    /// The directory of policies [default: `policies`, or none if files are given]
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    /// A cluster to check against: the output of `kubectl get nodes,namespaces,pods -A -o json`.
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let cluster = match &args.cluster {
        Some(file) => Some((file.display().to_string(), input::cluster(file, &PolicySet::default())?)),
        None => None,
    };
    let (mut findings, mut texts, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    let default_directory = args.inputs.is_empty().then(|| Path::new("policies"));
    if let Some(directory) = args.policies.as_deref().or(default_directory) {
        texts = input::policy_texts(directory)?;
        match input::policies_of(directory, &texts)? {
            Ok(policies) => {
                subjects.push(match policies.len() {
                    1 => "1 policy".to_owned(),
                    many => format!("{many} policies"),
                });
                findings = lint_policies(policies, cluster.as_ref());
            }
            // Without all policies, findings about those that can be read would be misleading.
            Err(found) => {
                subjects.push(counted(texts.len(), "file"));
                findings = found;
            }
        }
    }
    if !args.inputs.is_empty() {
        let (more_findings, more_texts) = args.inputs.lint(cluster.as_ref())?;
        findings.extend(more_findings);
        texts.extend(more_texts);
        subjects.push(match args.inputs.count() {
            0 => "the settings".to_owned(),
            count => counted(count, "file"),
        });
    }
    if let Some((file, inventory)) = &cluster
        && !findings.iter().any(|finding| finding.severity == Severity::Error)
    {
        subjects.push(counted(inventory.namespaces().count(), "namespace"));
        subjects.push(counted(inventory.node_count(), "node"));
        // Findings on the cluster's objects come last.
        findings.sort_by_key(|finding| (*finding.location.file == **file, finding.location.clone()));
    }
    match args.printing.output {
        Format::Text => {
            let text = snippet::text(&findings, &texts, &join_and(&subjects));
            output::print(&text, args.printing.color)?;
        }
        Format::Json => output::print_json(&findings.iter().map(JsonFinding::new).collect::<Vec<_>>())?,
    }
    Ok(match findings.iter().map(|finding| finding.severity).min() {
        None => Exit::Fine,
        Some(Severity::Warning) => Exit::Findings,
        Some(Severity::Error) => Exit::BadInput,
    })
}

fn lint_policies(policies: Vec<Policy>, cluster: Option<&(String, Inventory)>) -> Vec<Finding> {
    let cluster_products: Vec<&Product> = cluster
        .iter()
        .flat_map(|(_, inventory)| inventory.nodes())
        .flat_map(|node| &node.offers.offers)
        .filter_map(|offer| offer.product.as_ref())
        .collect();
    let mut findings = lint(&policies, &cluster_products);
    if let Some((file, inventory)) = cluster {
        findings.extend(lint_cluster(&PolicySet::new(policies), inventory, file));
    }
    findings
}

/// `a`, `a and b`, `a, b and c`.
fn join_and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A finding in the list that `--output json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonFinding<'f> {
    /// `error` or `warning`.
    severity: &'static str,
    file: &'f str,
    /// Counted from 1; `null` if the finding is about the whole file.
    line: Option<u64>,
    /// Counted from 1, in characters; `null` if the finding is about the whole line.
    column: Option<u64>,
    /// The field of the document, or the object of the cluster; `null` if unknown.
    field: Option<&'f str>,
    /// The problem and its fix.
    message: &'f str,
}

impl<'f> JsonFinding<'f> {
    fn new(finding: &'f Finding) -> Self {
        let known = |number: u64| Some(number).filter(|number| *number > 0);
        JsonFinding {
            severity: finding.severity.as_str(),
            file: &finding.location.file,
            line: known(finding.location.line),
            column: known(finding.location.column),
            field: Some(finding.field.as_str()).filter(|field| !field.is_empty()),
            message: &finding.message,
        }
    }
}
