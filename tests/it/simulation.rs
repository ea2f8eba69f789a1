//! Schedulers, an API server and two replicas that bind, in an order that a seed decides: nothing is given twice, and in the end whatever
//! fits is bound.
//!
//! The replicas are the program's own code: writer, ledger, reservations, filter, bind, and what decides about the Lease. Modelled are the
//! API server, the network and time. A request is sent, applied and answered in three steps, and between them anything may happen; it is
//! applied within [`bindings::PATIENCE`] of being sent, or never, and its answer may get lost. Watches are late, break and list again.
//! Replicas crash and come back with nothing.
//!
//! `SEED=7 CASES=1 cargo test --test it simulation` replays one seed, with a diary of what happened; `CASES=100000` looks further. Seeds are
//! shared out to the processors, and what one leads to does not depend on it. `COUNT=1` goes on after a broken promise and says by how
//! many seeds it was found: for faults that were put in on purpose.
//!
//! [`bindings::PATIENCE`]: apportion::cluster::bindings::PATIENCE

mod api;
mod calls;
mod dice;
mod habits;
mod promises;
mod quiet;
mod replica;
mod tally;
mod tenancy;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use tally::Tally;
use world::World;

/// Seeds that every run looks at.
const CASES: u64 = 5000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What all seeds led to, and those that broke a promise.
struct Seen {
    tally: Tally,
    broken: BTreeMap<u64, String>,
}

/// Looks at these seeds on all processors; no further than the first broken promise unless `counts`.
fn look(first: u64, end: u64, counts: bool) -> Seen {
    let (next, stop) = (AtomicU64::new(first), AtomicU64::new(end));
    let seen = Mutex::new(Seen {
        tally: Tally::default(),
        broken: BTreeMap::new(),
    });
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // Those below it are looked at all the same, so that the first is the first whoever is quicker.
            if seed >= stop.load(Ordering::Relaxed) {
                return;
            }
            let ended = World::new(seed).run();
            let mut seen = seen.lock().unwrap();
            match ended {
                Ok(tally) => seen.tally.add(&tally),
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
fn no_order_of_events_breaks_a_promise() {
    let (first, cases) = (number("SEED").unwrap_or(1), number("CASES").unwrap_or(CASES));
    let start = Instant::now();
    let Seen { tally, broken } = look(first, first + cases, number("COUNT").is_some());
    if let Some((seed, why)) = broken.first_key_value() {
        for line in World::new(*seed).diary() {
            eprintln!("{line}");
        }
        panic!(
            "SEED={seed} CASES=1: {why}; {} of {cases} seeds break a promise",
            broken.len()
        );
    }
    println!("{cases} seeds from {first} in {:.1?}: {tally:?}", start.elapsed());
    // A simulation in which nothing happens shows nothing.
    assert!(tally.is_rich() || cases < 1000, "{tally:?}");
}
