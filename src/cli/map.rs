//! `apportion map`: which tenants share which GPU nodes.

pub mod text;

use std::path::PathBuf;

use super::exit::Exit;
use super::input;
use super::output::{self, Color};
use apportion_analysis::map::{ClusterMap, Glob, Selection, html, svg};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cluster dump: the output of `kubectl get nodes,namespaces,pods -A -o json`. Without it, the
    /// live cluster of the kubeconfig
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// Directory of policies. With --cluster the default is ./policies; on a live cluster they are
    /// added to its own
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    /// Show only nodes whose name matches: `*` matches any text, `?` one character. May be
    /// repeated.
    #[arg(long = "node", value_name = "GLOB")]
    nodes: Vec<Glob>,
    /// Show only nodes with pods of matching namespaces, and only their waiting pods. May be
    /// repeated.
    #[arg(short, long = "namespace", value_name = "GLOB")]
    namespaces: Vec<Glob>,
    /// Above this number, each node is one cell that shows how full it is.
    #[arg(long, value_name = "NODES", default_value_t = 60)]
    detail: usize,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For the terminal.
    #[default]
    Text,
    /// For programs.
    Json,
    /// One page for a browser, in a single file.
    Html,
    /// One image.
    Svg,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let (policies, cluster) = input::dumped_or_live(args.cluster.as_deref(), args.policies.as_deref())?;
    let selection = Selection::new(&args.nodes, &args.namespaces);
    let map = ClusterMap::of(&cluster, &policies, &selection);
    let detailed = map.node_count() <= args.detail;
    match args.output {
        Format::Text => output::print(&text::text(&map, detailed, text::width()), args.color)?,
        Format::Json => output::print_json(&map)?,
        Format::Html => output::print(&html::page(&map, detailed), Color::Never)?,
        Format::Svg => output::print(&svg::image(&map, detailed), Color::Never)?,
    }
    Ok(Exit::Fine)
}
