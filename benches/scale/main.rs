//! What Apportion costs, beside a server that does the least that any server could: ratios, and how they grow with the cluster.
//!
//! `make bench`, or `cargo bench --bench scale -- --only filter,memory`. Without `--bench`, as `cargo test` runs it, everything is
//! tried once on a tiny cluster, and nothing is measured in earnest. docs/performance.md explains every number.
//!
//! One program in four roles, so that each stands in a process of its own whose CPU time the kernel counts: the driver (this one),
//! the floor server ([`floor`]), a stand-in for the API server ([`api`]) and the floor of verbs on files ([`dump`]). Apportion itself is the release binary.

#![allow(clippy::print_stdout, reason = "tables are what this program is for")]

mod api;
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

/// The floor has the allocator that Apportion has: what is compared is what they do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Flags.
#[derive(Parser)]
struct Args {
    /// Measure in earnest; `cargo bench` says so
    #[arg(long)]
    bench: bool,
    /// Measure these alone
    #[arg(long, value_delimiter = ',')]
    only: Vec<Suite>,
    /// Measure this build of Apportion instead, to compare two
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_apportion"))]
    binary: PathBuf,
    /// Words that `cargo test` would pick tests by; there is one
    #[arg(hide = true)]
    _filter: Vec<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Be the floor server
    Floor(floor::Args),
    /// Be the API server
    Api(api::Args),
    /// Be the floor of verbs that read a dump
    Parse(dump::Args),
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The webhook beside an echo
    Webhook,
    /// Filter calls as names grow, as the cluster grows, and as pods come
    Filter,
    /// What an event costs the one who writes
    Event,
    /// Memory, and the time to be ready
    Memory,
    /// Verbs that read a dump, `replay` above all
    Replay,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// Nodes of the clusters, growing.
    clusters: &'static [u32],
    /// The cluster that everything else is measured on.
    nodes: u32,
    /// Its pods; a fifth have GPUs.
    pods: u32,
    /// Rounds that the two sides take in turns.
    rounds: usize,
    /// Calls in a round, for a small body; larger ones get fewer.
    calls: usize,
    /// Events.
    events: usize,
    /// Nodes of the clusters of which dumps are read; the second is looked at more closely.
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
