//! `apportion replay`: what a change of policies would do to the pods of a cluster, and whether
//! they would still fit.

pub mod text;

use std::path::PathBuf;

use anyhow::Context as _;

use super::exit::Exit;
use super::input;
use super::output::{self, Format, Printing};
use apportion_analysis::replay::{self, Report};
use apportion_core::inventory::dump;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the new policies.
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,
    /// Directory of the present policies; on a live cluster they are added to its own. Without any,
    /// pods that the new policies allow count as unchanged
    #[arg(long, value_name = "DIR")]
    old: Option<PathBuf>,
    /// Cluster dump: the output of `kubectl get nodes,namespaces,pods -A -o json`. Without it, the
    /// live cluster of the kubeconfig
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let new = input::policy_set(&args.policies)?;
    let (old, text, file) = if let Some(file) = &args.cluster {
        let old = args.old.as_deref().map(input::policy_set).transpose()?;
        (old, input::text(file)?, file.display().to_string())
    } else {
        let (old, text) = input::live_dump(args.old.as_deref())?;
        (Some(old), text, "the cluster".to_owned())
    };
    let text = dump::to_json(&text).with_context(|| file.clone())?;
    let report: Report = replay::replay(&text, old.as_ref(), &new).with_context(|| file.clone())?;
    match args.printing.output {
        Format::Text => output::print(&text::text(&report), args.printing.color)?,
        Format::Json => output::print_json(&report)?,
    }
    Ok(if report.is_finding() {
        Exit::Findings
    } else {
        Exit::Fine
    })
}
