//! The whole process on a cluster: memory, startup time, and CPU per event.

use std::time::Duration;

use anyhow::ensure;

use crate::calls::{Connection, get};
use crate::duel::micros;
use crate::process::Process;
use crate::table;
use crate::world::{Api, Apportion, World};

/// Events that are sent to it.
const EVENTS: u32 = 30_000;

pub(crate) fn measure(world: &World) -> anyhow::Result<()> {
    let (nodes, pods) = (world.scale.nodes, world.scale.pods);
    let whole: &[&str] = &[];
    let extender: &[&str] = &["--no-webhook"];
    let mut rows = Vec::new();
    for (name, flags, nodes, pods) in [
        ("both, a small cluster", whole, 20, 200),
        ("both", whole, nodes, 0),
        ("both", whole, nodes, pods / 15 * 2),
        ("both", whole, nodes, pods),
        ("extender alone", extender, nodes, pods),
    ] {
        let api = world.api(nodes, pods)?;
        let apportion = world.apportion(&api, flags)?;
        let spent = apportion.process.cpu()?;
        settle(&apportion.process)?;
        let memory = apportion.process.memory()?;
        ensure_no_breach(&apportion)?;
        let (event, after) = events(world, &api, &apportion)?;
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let mib = |kib: u64| format!("{:.0}", kib as f64 / 1024.0);
        rows.push(vec![
            name.to_owned(),
            nodes.to_string(),
            pods.to_string(),
            mib(memory.now),
            mib(memory.peak),
            mib(after),
            format!("{:.2}", apportion.ready_after.as_secs_f64()),
            format!("{:.2}", spent.as_secs_f64()),
            format!("{event:.1}"),
        ]);
    }
    table::print(
        "The process: a fifth of the pods has GPUs; 14 KB a node, 6 KB a pod on the wire",
        &[
            "serves",
            "nodes",
            "pods",
            "RSS, MiB",
            "peak, MiB",
            "after events, MiB",
            "ready after, s",
            "CPU until then, s",
            "CPU an event, µs",
        ],
        &rows,
    );
    Ok(())
}

/// CPU per event, from the bytes of the watch to the published state, and the memory afterwards in
/// KiB.
fn events(world: &World, api: &Api, apportion: &Apportion) -> anyhow::Result<(f64, u64)> {
    let count = EVENTS.min(u32::try_from(world.scale.events)?);
    let before = apportion.process.cpu()?;
    let mut connection = Connection::open(&api.target)?;
    connection.ask(&get(&format!("/bench-events?from=0&count={count}")))?;
    settle(&apportion.process)?;
    let spent = apportion.process.cpu()?.saturating_sub(before);
    Ok((micros(spent) / f64::from(count), apportion.process.memory()?.now))
}

/// Waits until the process is idle.
pub(crate) fn settle(process: &Process) -> anyhow::Result<()> {
    let mut before = process.cpu()?;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = process.cpu()?;
        if now.saturating_sub(before) < Duration::from_millis(20) {
            return Ok(());
        }
        before = now;
    }
}

/// Checks that the synthetic pods comply, because a long list of violations would distort the
/// measurement.
fn ensure_no_breach(apportion: &Apportion) -> anyhow::Result<()> {
    let mut connection = Connection::open(&apportion.admin)?;
    let breaches: serde_json::Value = serde_json::from_slice(connection.ask(&get("/breaches"))?)?;
    ensure!(
        breaches == serde_json::json!([]),
        "pods of the made-up cluster break policies: {}",
        breaches[0]
    );
    Ok(())
}
