//! `apportion render`: renders a sharing plan into files for NVIDIA's components, kube-scheduler
//! and `kubectl`.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::exit::Exit;
use super::lint::snippet;
use super::output::{self, Color};
use super::{input, page};
use apportion_core::diagnostics::{Finding, Severity};
use apportion_core::policy::PolicySet;
use apportion_nvidia::plan::render::NAMES;
use apportion_nvidia::plan::{Plan, Rendered, parse, policies, render};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan, a `GpuSharingPlan`. `-` is standard input.
    #[arg(long, short, value_name = "FILE")]
    filename: PathBuf,
    /// Policies to compare with the plan: reports rules that no pool offers, and pools that no
    /// policy allows.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Write the files to this directory instead of printing them.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write nothing; report files in `--out` that differ from the rendered ones.
    #[arg(long, requires = "out")]
    check: bool,
    /// Print only this file, such as gpu-operator-values.yaml.
    #[arg(long, value_name = "NAME", conflicts_with = "out")]
    only: Option<String>,
    /// When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let file = args.filename.display().to_string();
    let text = input::text(&args.filename)?;
    let mut texts = vec![(file.clone(), text.clone())];
    let (plan, mut findings) = match parse(&file, &text) {
        Ok(read) => read,
        Err(findings) => {
            print_findings(&findings, &texts)?;
            return Ok(Exit::BadInput);
        }
    };
    if let Some(directory) = &args.policies {
        let policy_texts = input::policy_texts(directory)?;
        let set = PolicySet::new(input::checked_policies(directory, &policy_texts)?);
        findings.extend(policies::compare(&plan, &set));
        texts.extend(policy_texts);
    }
    if !findings.is_empty() {
        print_findings(&findings, &texts)?;
    }
    let exit = output_files(args, &plan)?;
    Ok(if findings.is_empty() { exit } else { Exit::Findings })
}

/// Findings go to standard error, because standard output is for rendered files.
fn print_findings(findings: &[Finding], texts: &[(String, String)]) -> anyhow::Result<()> {
    let text = snippet::text(findings, texts, "the plan");
    write!(anstream::stderr(), "{text}").context("cannot write to standard error")?;
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        writeln!(anstream::stderr(), "nothing was rendered").context("cannot write to standard error")?;
    }
    Ok(())
}

fn output_files(args: &Args, plan: &Plan) -> anyhow::Result<Exit> {
    let files = render(plan);
    if let Some(name) = &args.only {
        let Some(file) = files.iter().find(|file| file.name == name) else {
            let names: Vec<&str> = files.iter().map(|file| file.name).collect();
            bail!("the plan renders no {name}; it renders {}", names.join(", "));
        };
        output::print(&file.text, args.color)?;
        return Ok(Exit::Fine);
    }
    let Some(directory) = &args.out else {
        output::print(&concatenate(&files), args.color)?;
        return Ok(Exit::Fine);
    };
    let stale: Vec<&str> = NAMES
        .into_iter()
        .filter(|name| files.iter().all(|file| file.name != *name) && directory.join(name).exists())
        .collect();
    let (text, exit) = if args.check {
        check(directory, &files, &stale)?
    } else {
        write_all(directory, &files, &stale)?
    };
    output::print(&text, args.color)?;
    Ok(exit)
}

/// Joins all files, each below its name. Scripts become comments, so that the result is valid YAML.
fn concatenate(files: &[Rendered]) -> String {
    let mut text = String::new();
    for file in files {
        let body = file.text.strip_prefix("---\n").unwrap_or(&file.text);
        let _ = writeln!(text, "---\n# Source: {}", file.name);
        if file.text.starts_with("#!") {
            for line in body.lines() {
                let _ = writeln!(text, "# {line}");
            }
        } else {
            text.push_str(body);
        }
    }
    text
}

fn write_all(directory: &Path, files: &[Rendered], stale: &[&str]) -> anyhow::Result<(String, Exit)> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut text = String::new();
    let width = files.iter().map(|file| file.name.len()).max().unwrap_or_default();
    for file in files {
        let path = directory.join(file.name);
        fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
        let _ = writeln!(
            text,
            "{:width$}  {}",
            file.name,
            page::painted(page::FAINT, file.purpose)
        );
    }
    let _ = writeln!(text, "{} files written to {}", files.len(), directory.display());
    for name in stale {
        let _ = writeln!(
            text,
            "{}: {name} is from another plan or version, because this plan does not render it; remove it",
            page::painted(page::DOUBTFUL, "warning")
        );
    }
    Ok((text, if stale.is_empty() { Exit::Fine } else { Exit::Findings }))
}

fn check(directory: &Path, files: &[Rendered], stale: &[&str]) -> anyhow::Result<(String, Exit)> {
    let mut text = String::new();
    for file in files {
        let path = directory.join(file.name);
        let shown = path.display();
        let existing = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let _ = writeln!(text, "{shown}: is missing");
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        if existing != file.text {
            let differences = similar::TextDiff::from_lines(&existing, &file.text);
            let _ = write!(
                text,
                "{}",
                differences.unified_diff().header(&shown.to_string(), "rendered")
            );
        }
    }
    for name in stale {
        let _ = writeln!(
            text,
            "{}: this plan does not render this file",
            directory.join(name).display()
        );
    }
    let exit = if text.is_empty() { Exit::Fine } else { Exit::Findings };
    if text.is_empty() {
        let _ = writeln!(text, "{} files in {} are up to date", files.len(), directory.display());
    }
    Ok((text, exit))
}
