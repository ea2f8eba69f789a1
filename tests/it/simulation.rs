//! A simulation of schedulers, an API server and two replicas that bind, in an order that a seed
//! decides. No share is given twice, and in the end all pods that fit are bound.
//!
//! The replicas run the product's code: writer, ledger, reservations, filter, bind and leader
//! election. The API server, the network and time are simulated. A request is sent, applied and
//! answered in three steps, with any other events between them. It is applied within
//! [`bindings::PATIENCE`] or never, and its answer may be lost. Watches lag, break and list again.
//! Replicas crash and restart without state.
//!
//! `SEED=7 CASES=1 cargo test --test it simulation` replays one seed and logs its events;
//! `CASES=100000` runs more seeds. Seeds run in parallel, independently of each other. With
//! `COUNT=1`, the test continues after a broken guarantee and counts the seeds that find it, to
//! measure how well it detects a deliberate fault.
//!
//! [`bindings::PATIENCE`]: apportion::cluster::lease::CALL_TIMEOUT

mod api_calls;
mod api_server;
mod behavior;
mod guarantees;
mod lease_steps;
mod random;
mod replica;
mod settling;
mod statistics;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use statistics::Statistics;
use world::World;

/// The number of seeds in each run.
const CASES: u64 = 5000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The statistics of all seeds, and the seeds that broke a guarantee.
struct Outcome {
    statistics: Statistics,
    broken: BTreeMap<u64, String>,
}

/// Runs these seeds on all processors. Stops at the first broken guarantee unless `counts`.
fn run_seeds(first: u64, end: u64, counts: bool) -> Outcome {
    let (next, stop) = (AtomicU64::new(first), AtomicU64::new(end));
    let seen = Mutex::new(Outcome {
        statistics: Statistics::default(),
        broken: BTreeMap::new(),
    });
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // Lower seeds still run, so the result does not depend on timing.
            if seed >= stop.load(Ordering::Relaxed) {
                return;
            }
            let ended = World::new(seed).run();
            let mut seen = seen.lock().unwrap();
            match ended {
                Ok(statistics) => seen.statistics.add(&statistics),
                Err(why) => {
                    seen.broken.insert(seed, why);
                    if !counts {
                        stop.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    seen.into_inner().unwrap()
}

#[test]
fn no_order_of_events_breaks_a_guarantee() {
    let (first, cases) = (number("SEED").unwrap_or(1), number("CASES").unwrap_or(CASES));
    let start = Instant::now();
    let Outcome { statistics, broken } = run_seeds(first, first + cases, number("COUNT").is_some());
    if let Some((seed, why)) = broken.first_key_value() {
        for line in World::new(*seed).log() {
            eprintln!("{line}");
        }
        panic!(
            "SEED={seed} CASES=1: {why}; {} of {cases} seeds break a guarantee",
            broken.len()
        );
    }
    println!("{cases} seeds from {first} in {:.1?}: {statistics:?}", start.elapsed());
    // Every kind of event must have happened.
    assert!(statistics.covers_everything() || cases < 1000, "{statistics:?}");
}
