//! `apportion lint`: what is wrong or doubtful in policies, alone and beside a cluster.

pub mod snippet;

use std::path::PathBuf;

use serde::Serialize;

use super::exit::Exit;
use super::input;
use super::output::{self, Format, Printing};
use crate::gpu::Product;
use crate::inventory::Inventory;
use crate::lint::{lint, lint_cluster};
use crate::policy::{Finding, Policy, PolicySet, Severity};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policies.
    #[arg(long, value_name = "DIR", default_value = "policies", env = "APPORTION_POLICIES")]
    policies: PathBuf,
    /// A cluster to hold them against: what `kubectl get nodes,namespaces,pods -A -o json` prints.
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let texts = input::policy_texts(&args.policies)?;
    let cluster = match &args.cluster {
        Some(file) => Some((file.display().to_string(), input::cluster(file, &PolicySet::default())?)),
        None => None,
    };
    let (findings, subject) = match input::policies_of(&args.policies, &texts)? {
        Ok(policies) => {
            let subject = subject(policies.len(), cluster.as_ref().map(|(_, inventory)| inventory));
            (all(policies, cluster.as_ref()), subject)
        }
        // What can not be read can not be linted; the rest would be judged as if it were alone.
        Err(findings) => (findings, counted(texts.len(), "file")),
    };
    match args.printing.output {
        Format::Text => output::print(&snippet::text(&findings, &texts, &subject), args.printing.color)?,
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
        // What a policy and the cluster do not say alike stands with the rest on that policy; the cluster's own comes last.
        findings.sort_by_key(|finding| (*finding.location.file == **file, finding.location.clone()));
    }
    findings
}

/// What was looked at, for the summary.
fn subject(policies: usize, inventory: Option<&Inventory>) -> String {
    let policies = match policies {
        1 => "1 policy".to_owned(),
        many => format!("{many} policies"),
    };
    match inventory {
        None => policies,
        Some(inventory) => format!(
            "{policies}, {} and {}",
            counted(inventory.namespaces().count(), "namespace"),
            counted(inventory.nodes().len(), "node")
        ),
    }
}

/// `1 node`, `2 nodes`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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
