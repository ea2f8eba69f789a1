//! What scores are worth: a made-up month of arrivals on one cluster, placed by three ways to score nodes.
//!
//! `cargo run --release --example packing` prints the table and writes the plot of `docs/scheduling.md`; `-- --check` only compares it.

mod arrivals;
mod cluster;
mod dice;
mod month;
mod plot;

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use apportion::cli::input;
use clap::Parser as _;

use cluster::Scoring;
use month::{Month, run};

/// Flags of the simulation.
#[derive(clap::Parser)]
struct Args {
    /// Fail if the plot in the tree is another
    #[arg(long)]
    check: bool,
    /// Run as many months with other dice, and print what they have in common
    #[arg(long, default_value_t = 1)]
    months: u64,
}

const PLOT: &str = "docs/images/packing.svg";
const WAYS: [(Scoring, &str); 3] = [
    (Scoring::Spread, "spreading over GPUs"),
    (Scoring::InTree, "kube-scheduler alone"),
    (Scoring::Apportion, "with apportion"),
];

fn main() -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    let args = Args::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let policies = input::policy_set(&root.join("policies"))?;
    for seed in 1..=args.months {
        let jobs = arrivals::month(&mut dice::Dice::new(seed));
        let mut months: Vec<(&str, Month)> = Vec::new();
        for (scoring, name) in WAYS {
            months.push((name, run(&jobs, policies.clone(), scoring)?));
        }
        writeln!(out, "month {seed}, {} jobs", jobs.len())?;
        writeln!(
            out,
            "{:24}{:>18}{:>22}{:>22}{:>22}",
            "", "stranded GPUs", "wait for 8 GPUs", "wait for fewer", "share nodes empty"
        )?;
        for (name, month) in &months {
            writeln!(
                out,
                "{name:24}{:>14.1} avg{:>16.1} h mean{:>16.1} h mean{:>18.1} avg",
                month.stranded_mean(),
                month.wait_whole_node,
                month.wait_less,
                month.empty_share_nodes,
            )?;
        }
        if seed == 1 {
            let plot = plot::svg(&months);
            let file = root.join(PLOT);
            if args.check {
                let there = std::fs::read_to_string(&file).with_context(|| PLOT)?;
                if there != plot {
                    bail!("{PLOT} is not what the simulation draws; run it without --check");
                }
            } else {
                std::fs::write(&file, plot).with_context(|| PLOT)?;
            }
        }
    }
    Ok(())
}
