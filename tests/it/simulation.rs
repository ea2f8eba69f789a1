//! Schedulers, an API server and two replicas that bind, in an order that a seed decides: nothing is given twice, and in the end whatever
//! fits is bound.
//!
//! The replicas are the program's own code: writer, ledger, reservations, filter, bind, and what decides about the Lease. Modelled are the
//! API server, the network and time. A request is sent, applied and answered in three steps, and between them anything may happen; it is
//! applied within [`bindings::PATIENCE`] of being sent, or never, and its answer may get lost. Watches are late, break and list again.
//! Replicas crash and come back with nothing.
//!
//! `SEED=7 CASES=1 cargo test --test it simulation` replays one seed; `CASES=100000` looks further.
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

use std::time::Instant;

use world::World;

/// Seeds that every run looks at.
const CASES: u64 = 1500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_order_of_events_breaks_a_promise() {
    let (first, cases) = (number("SEED").unwrap_or(1), number("CASES").unwrap_or(CASES));
    let start = Instant::now();
    let mut seen = tally::Tally::default();
    for seed in first..first + cases {
        let mut world = World::new(seed);
        match world.run() {
            Ok(tally) => seen.add(&tally),
            Err(why) => {
                for line in world.diary() {
                    eprintln!("{line}");
                }
                panic!("SEED={seed} CASES=1: {why}");
            }
        }
    }
    println!("{cases} seeds from {first} in {:.1?}: {seen:?}", start.elapsed());
    // A simulation in which nothing happens shows nothing.
    assert!(seen.is_rich() || cases < 100, "{seen:?}");
}
