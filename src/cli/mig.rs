//! `apportion mig`: the MIG profiles of products, whether instances fit, and geometries for a
//! demand.

pub mod check;
pub mod drawing;
pub mod geometry;
mod node_configs;
pub mod plan;
pub mod show;

use clap::Subcommand;

use super::exit::Exit;
use super::output::Color;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show products, or one product's profiles, IDs and slots.
    Show(show::Args),
    /// Check whether instances fit on one GPU, and print the command that creates them.
    Check(check::Args),
    /// Find geometries for a demand, on the fewest GPUs.
    Plan(plan::Args),
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Printing {
    /// What to print: text for people, JSON for programs, or a configuration file for NVIDIA's
    /// mig-parted and its MIG manager.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// The configuration file alone.
    MigParted,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Show(args) => show::run(args),
        Command::Check(args) => check::run(args),
        Command::Plan(args) => plan::run(args),
    }
}
