//! `apportion explain`: what would become of pods, step by step, and where they would fit.

pub mod text;

use apportion_analysis::explain::workload;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::exit::Exit;
use super::input;
use super::output::{self, Format, Printing};
use apportion_analysis::explain::inquiry::Inquiry;
use apportion_analysis::explain::report::Report;
use apportion_analysis::explain::workload::Found;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A manifest that holds pods, or what makes pods: Deployment, Job, List and so on. `-` is standard input. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The namespace of objects that name none.
    #[arg(short, long)]
    namespace: Option<String>,
    /// The cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster of the kubeconfig
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// The policies; with --cluster, ./policies by default. On a live cluster they stand beside its own
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let found = read(&args.files, args.namespace.as_deref())?;
    let (policies, cluster) = input::dumped_or_live(args.cluster.as_deref(), args.policies.as_deref())?;
    let inquiry = Inquiry::new(policies, cluster);
    let reports: Vec<Report> = found
        .workloads
        .iter()
        .map(|workload| inquiry.report(workload))
        .collect::<anyhow::Result<_>>()?;
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

/// Reads all manifests. A Service beside its Deployment is passed over; input without any pod is a mistake.
fn read(files: &[PathBuf], namespace: Option<&str>) -> anyhow::Result<Found> {
    let mut all = Found::default();
    for file in files {
        let name = if file.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            file.display().to_string()
        };
        let text = input::text(file)?;
        let found = workload::read(&name, &text, namespace)?;
        all.workloads.extend(found.workloads);
        all.others
            .extend(found.others.iter().map(|other| format!("{name}: {other}")));
    }
    let note = "holds no pod, nor a template of one at spec.template";
    match (&all.workloads[..], &all.others[..]) {
        ([], []) => bail!("no object in {}", shown(files)),
        ([], [first, ..]) => bail!("{first} {note}"),
        (_, others) => {
            for other in others {
                writeln!(anstream::stderr(), "apportion: {other} {note}; passed over")
                    .context("cannot write to standard error")?;
            }
            Ok(all)
        }
    }
}

fn shown(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    names.join(", ")
}
