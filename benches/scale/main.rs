//! The cost of Apportion compared with a minimal server: ratios, and how they grow with the
//! cluster.
//!
//! `make bench`, or `cargo bench --bench scale -- --only filter,memory`. Without `--bench`, as in
//! `cargo test`, everything runs once on a tiny cluster, without meaningful measurements.
//! docs/performance.md explains the results.
//!
//! One program in four roles, each a process whose CPU time the kernel counts: the driver (this
//! one), the baseline server ([`floor`]), a fake API server ([`api`]) and the baseline of commands
//! on files ([`dump`]). Apportion is the release binary.

#![allow(clippy::print_stdout, reason = "tables are what this program is for")]

mod api;
mod builds;
mod calls;
mod duel;
mod dump;
mod event;
mod filter;
mod floor;
mod memory;
mod process;
mod synthetic;
mod table;
mod webhook;
mod world;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::world::World;

/// The same allocator as Apportion, so that the comparison is fair.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Flags.
#[derive(Parser)]
struct Args {
    /// Measure; `cargo bench` sets it
    #[arg(long)]
    bench: bool,
    /// Measure only these
    #[arg(long, value_delimiter = ',')]
    only: Vec<Suite>,
    /// Measure this build of Apportion instead, to compare two
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_apportion"))]
    binary: PathBuf,
    /// Compare only with this other build of Apportion, instead of the baseline servers
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Filters of `cargo test`, which are ignored
    #[arg(hide = true)]
    _filter: Vec<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Run the baseline server
    Floor(floor::Args),
    /// Run the fake API server
    Api(api::Args),
    /// Run the baseline of commands that read a dump
    Parse(dump::Args),
}

/// The parts that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The webhook compared with an echo server
    Webhook,
    /// Filter calls by number of names, size of the cluster and number of pods
    Filter,
    /// The cost of an event for the writer
    Event,
    /// Memory and startup time
    Memory,
    /// Commands that read a dump, mainly `replay`
    Replay,
}

/// The size of the measurements.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// Sizes of clusters in nodes, ascending.
    clusters: &'static [u32],
    /// Nodes of the cluster for everything else.
    nodes: u32,
    /// Its pods; a fifth have GPUs.
    pods: u32,
    /// Rounds of each server.
    rounds: usize,
    /// Calls in a round, for a small body; larger ones get fewer.
    calls: usize,
    /// Events.
    events: usize,
    /// Sizes of dumps in nodes; the second has more measurements.
    dumps: &'static [u32],
}

const EARNEST: Scale = Scale {
    clusters: &[100, 1000, 5000, 15_000],
    nodes: 5000,
    pods: 150_000,
    rounds: 7,
    calls: 2000,
    events: 250_000,
    dumps: &[100, 1000, 5000],
};

const TRIAL: Scale = Scale {
    clusters: &[10, 20],
    nodes: 20,
    pods: 600,
    rounds: 1,
    calls: 20,
    events: 2000,
    dumps: &[10, 20],
};

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.role {
        Some(Role::Floor(args)) => return floor::run(&args),
        Some(Role::Api(args)) => return api::run(&args),
        Some(Role::Parse(args)) => return dump::parse(&args),
        None => {}
    }
    let scale = if args.bench { EARNEST } else { TRIAL };
    let world = World::new(scale, args.binary)?;
    if let Some(reference) = &args.reference {
        println!("{}", world.describe());
        return builds::measure(&world, reference);
    }
    let asked = |suite| args.only.is_empty() || args.only.contains(&suite);
    println!("{}", world.describe());
    if asked(Suite::Webhook) {
        webhook::measure(&world)?;
    }
    if asked(Suite::Filter) {
        filter::measure(&world)?;
    }
    if asked(Suite::Event) {
        event::measure(scale)?;
    }
    if asked(Suite::Memory) {
        memory::measure(&world)?;
    }
    if asked(Suite::Replay) {
        dump::measure(&world)?;
    }
    Ok(())
}
