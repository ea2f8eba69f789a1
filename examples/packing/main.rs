//! Compares three ways to choose nodes, in a simulated month of jobs on one cluster.
//!
//! `cargo run --release --example packing` prints the results and writes the plot of
//! `docs/scheduling.md`. With `-- --check`, it only compares the plot.

mod arrivals;
mod cluster;
mod month;
mod plot;
mod rng;

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use apportion::cli::input;
use clap::Parser as _;

use cluster::Scoring;
use month::{Month, run};

#[derive(clap::Parser)]
struct Args {
    /// Fail if the plot in the repository is out of date
    #[arg(long)]
    check: bool,
    /// Simulate this many months, each with another random seed
    #[arg(long, default_value_t = 1)]
    months: u64,
}

const PLOT: &str = "docs/images/packing.svg";
const SCORINGS: [(Scoring, &str); 3] = [
    (Scoring::Spread, "spreading over GPUs"),
    (Scoring::InTree, "kube-scheduler alone"),
    (Scoring::Apportion, "with Apportion"),
];

fn main() -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    let args = Args::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let policies = input::policy_set(&root.join("policies"))?;
    for seed in 1..=args.months {
        let jobs = arrivals::month(&mut rng::Rng::new(seed));
        let mut months: Vec<(&str, Month)> = Vec::new();
        for (scoring, name) in SCORINGS {
            months.push((name, run(&jobs, policies.clone(), scoring)?));
        }
        writeln!(out, "month {seed}, {} jobs", jobs.len())?;
        writeln!(
            out,
            "{:24}{:>18}{:>22}{:>22}{:>22}",
            "", "stranded GPUs", "wait for 8 GPUs", "wait for fewer", "empty shared nodes"
        )?;
        for (name, month) in &months {
            writeln!(
                out,
                "{name:24}{:>14.1} avg{:>16.1} h mean{:>16.1} h mean{:>18.1} avg",
                month.stranded_mean(),
                month.whole_node_wait,
                month.smaller_wait,
                month.empty_shared_nodes,
            )?;
        }
        if seed == 1 {
            let plot = plot::svg(&months);
            let file = root.join(PLOT);
            if args.check {
                let existing = std::fs::read_to_string(&file).with_context(|| PLOT)?;
                if existing != plot {
                    bail!("{PLOT} is out of date; run the example without --check");
                }
            } else {
                std::fs::write(&file, plot).with_context(|| PLOT)?;
            }
        }
    }
    Ok(())
}
