//! `apportion mig`: what MIG profiles products have, whether a geometry fits, and geometries for a demand.

pub mod answer;
pub mod check;
pub mod drawing;
pub mod plan;
pub mod show;

use clap::Subcommand;

use super::exit::Exit;
use super::output::Color;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show products, or one product's profiles, IDs and slots.
    Show(show::Args),
    /// Say whether instances fit on one GPU, and what to type.
    Check(check::Args),
    /// Find geometries for a demand, on the fewest GPUs.
    Plan(plan::Args),
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Printing {
    /// What to print: text for people, JSON for programs, or a configuration file for NVIDIA's mig-parted and its MIG manager.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set.
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

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Show(args) => show::run(args),
        Verb::Check(args) => check::run(args),
        Verb::Plan(args) => plan::run(args),
    }
}
