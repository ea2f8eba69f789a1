//! `apportion map`: who shares which GPU node with whom.

pub mod text;

use apportion_analysis::map::html;
use apportion_analysis::map::picture::Selection;
use apportion_analysis::map::svg;
use std::path::PathBuf;

use super::exit::Exit;
use super::input;
use super::output::{self, Color};
use apportion_analysis::map::glob::Glob;
use apportion_analysis::map::picture::Picture;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster of the kubeconfig
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// The policies; with --cluster, ./policies by default. On a live cluster they stand beside its own
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    /// Only nodes of such names; `*` stands for any text, `?` for one character. May be repeated.
    #[arg(long = "node", value_name = "GLOB")]
    nodes: Vec<Glob>,
    /// Only nodes with pods of such namespaces, and only their waiting pods. May be repeated.
    #[arg(short, long = "namespace", value_name = "GLOB")]
    namespaces: Vec<Glob>,
    /// Above so many nodes each is one cell that says how full it is.
    #[arg(long, value_name = "NODES", default_value_t = 60)]
    detail: usize,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For the terminal.
    #[default]
    Text,
    /// For programs.
    Json,
    /// One page for a browser, which needs nothing else.
    Html,
    /// One picture.
    Svg,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let (policies, cluster) = input::dumped_or_live(args.cluster.as_deref(), args.policies.as_deref())?;
    let selection = Selection {
        nodes: args.nodes.clone(),
        namespaces: args.namespaces.clone(),
    };
    let picture = Picture::of(&cluster, &policies, &selection);
    let detailed = picture.node_count() <= args.detail;
    match args.output {
        Format::Text => output::print(&text::text(&picture, detailed, text::width()), args.color)?,
        Format::Json => output::print_json(&picture)?,
        Format::Html => output::print(&html::page(&picture, detailed), Color::Never)?,
        Format::Svg => output::print(&svg::sheet(&picture, detailed), Color::Never)?,
    }
    Ok(Exit::Fine)
}
