//! `apportion explain`: what would happen to pods, step by step, and where they would fit.

pub mod text;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::exit::Exit;
use super::input;
use super::output::{self, Format, Printing};
use apportion_analysis::explain::{Explainer, Report};
use apportion_analysis::workload::{self, Manifest};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Manifest of pods, or of objects that create pods: Deployment, Job, List and so on. `-` is
    /// standard input. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Namespace of objects without one.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Cluster dump: the output of `kubectl get nodes,namespaces,pods -A -o json`. Without it, the
    /// live cluster of the kubeconfig
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// Directory of policies. With --cluster the default is ./policies; on a live cluster they are
    /// added to its own
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let manifest = read(&args.files, args.namespace.as_deref())?;
    let (policies, cluster) = input::dumped_or_live(args.cluster.as_deref(), args.policies.as_deref())?;
    let explainer = Explainer::new(policies, cluster);
    let reports: Vec<Report> = manifest
        .workloads
        .iter()
        .map(|workload| explainer.explain(workload))
        .collect::<Result<_, _>>()?;
    match args.printing.output {
        Format::Text => output::print(&text::text(&reports)?, args.printing.color)?,
        Format::Json => output::print_json(&reports)?,
    }
    Ok(if reports.iter().any(Report::is_finding) {
        Exit::Findings
    } else {
        Exit::Fine
    })
}

/// Reads all manifests. Objects that create no pods, such as a Service next to its Deployment, are
/// skipped; input without any pod is an error.
fn read(files: &[PathBuf], namespace: Option<&str>) -> anyhow::Result<Manifest> {
    let mut all = Manifest::default();
    for file in files {
        let name = if file.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            file.display().to_string()
        };
        let text = input::text(file)?;
        let manifest = workload::read(&name, &text, namespace)?;
        all.workloads.extend(manifest.workloads);
        all.others
            .extend(manifest.others.iter().map(|other| format!("{name}: {other}")));
    }
    let note = "contains no pod, and no pod template at spec.template";
    match (&all.workloads[..], &all.others[..]) {
        ([], []) => bail!("no objects in {}", joined(files)),
        ([], [first, ..]) => bail!("{first} {note}"),
        (_, others) => {
            for other in others {
                writeln!(anstream::stderr(), "apportion: {other} {note}; skipped")
                    .context("cannot write to standard error")?;
            }
            Ok(all)
        }
    }
}

fn joined(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    names.join(", ")
}
