//! Two builds of Apportion compared, the measured one and a reference, on the same cluster and in
//! the same minutes.

use std::path::Path;
use std::process::Command;

use crate::calls;
use crate::duel::{Effort, Outcome, Side, duel, quantile};
use crate::dump;
use crate::memory::settle;
use crate::synthetic::{self, Cluster};
use crate::table;
use crate::world::{Api, Apportion, World};

/// Names in a typical filter call at 5,000 nodes.
const SAMPLE: u32 = 500;

pub(crate) fn measure(world: &World, reference: &Path) -> anyhow::Result<()> {
    let scale = world.scale;
    let cluster = Cluster::new(scale.nodes, scale.pods)?;
    let api = world.api(scale.nodes, cluster.pods)?;
    let names = SAMPLE.min(scale.nodes);
    let mut rows = Vec::new();
    for (answers, flags) in [
        ("short answers", &[][..]),
        ("full answers", &["--filter-answer-size", "all"]),
    ] {
        let ours = world.apportion(&api, flags)?;
        let theirs = world.apportion_build(reference, &api, flags)?;
        for names in [names, scale.nodes] {
            let request = calls::post("/filter", &cluster.filter_question(names));
            let effort = Effort {
                rounds: scale.rounds,
                calls: (scale.calls * 200 / names.max(200) as usize).max(20),
                connections: 1,
            };
            let outcome = duel(&extender(&ours), &extender(&theirs), &request, effort)?;
            rows.push(row(&format!("filter, {names} names, {answers}"), &outcome));
        }
        if flags.is_empty() {
            let review = calls::post("/mutate", &synthetic::review()?);
            let effort = Effort {
                rounds: scale.rounds,
                calls: scale.calls * 2,
                connections: 8,
            };
            let outcome = duel(&webhook(&ours), &webhook(&theirs), &review, effort)?;
            rows.push(row("webhook", &outcome));
            settle(&ours.process)?;
            settle(&theirs.process)?;
            for (what, now) in [("memory, MiB", true), ("peak memory, MiB", false)] {
                let (a, b) = (ours.process.memory()?, theirs.process.memory()?);
                let (a, b) = if now { (a.now, b.now) } else { (a.peak, b.peak) };
                #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
                rows.push(ratio(what, a as f64 / 1024.0, b as f64 / 1024.0));
            }
            drop((ours, theirs));
            rows.push(ready(world, reference, &api)?);
        }
    }
    for verb in ["replay", "map"] {
        rows.push(read_a_dump(world, reference, verb)?);
    }
    let title = format!(
        "This build and {}: CPU a call in µs unless said, {} nodes, {} pods",
        reference.display(),
        scale.nodes,
        cluster.pods
    );
    table::print(&title, &["", "ratio", "this build", "reference"], &rows);
    Ok(())
}

fn extender(build: &Apportion) -> Side<'_> {
    Side {
        process: &build.process,
        target: build.extender.clone(),
    }
}

fn webhook(build: &Apportion) -> Side<'_> {
    Side {
        process: &build.process,
        target: build.webhook.clone(),
    }
}

fn row(what: &str, outcome: &Outcome) -> Vec<String> {
    vec![
        what.to_owned(),
        format!("{:.2}", outcome.ratio),
        format!("{:.1}", outcome.first.cpu),
        format!("{:.1}", outcome.second.cpu),
    ]
}

fn ratio(what: &str, ours: f64, theirs: f64) -> Vec<String> {
    vec![
        what.to_owned(),
        format!("{:.2}", ours / theirs),
        format!("{ours:.2}"),
        format!("{theirs:.2}"),
    ]
}

/// Seconds from the start to ready, both builds in turns.
fn ready(world: &World, reference: &Path, api: &Api) -> anyhow::Result<Vec<String>> {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..world.scale.rounds {
        let a = world.apportion(api, &[])?.ready_after.as_secs_f64();
        let b = world.apportion_build(reference, api, &[])?.ready_after.as_secs_f64();
        ratios.push(a / b);
        ours.push(a);
        theirs.push(b);
    }
    Ok(medians("ready after, s", &mut ratios, &mut ours, &mut theirs))
}

fn medians(what: &str, ratios: &mut [f64], ours: &mut [f64], theirs: &mut [f64]) -> Vec<String> {
    vec![
        what.to_owned(),
        format!("{:.2}", quantile(ratios, 0.5)),
        format!("{:.2}", quantile(ours, 0.5)),
        format!("{:.2}", quantile(theirs, 0.5)),
    ]
}

/// CPU seconds of a command that reads a dump.
fn read_a_dump(world: &World, reference: &Path, verb: &str) -> anyhow::Result<Vec<String>> {
    let nodes = world.scale.dumps.get(1).copied().unwrap_or(world.scale.nodes);
    let files = dump::Files::write(nodes)?;
    let command = |binary: &Path| {
        let mut command = Command::new(binary);
        files.arguments(&mut command, verb);
        command
    };
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..world.scale.rounds {
        let a = dump::spent(&mut command(world.binary()))?.cpu.as_secs_f64();
        let b = dump::spent(&mut command(reference))?.cpu.as_secs_f64();
        ratios.push(a / b);
        ours.push(a);
        theirs.push(b);
    }
    let what = format!("{verb} of {nodes} nodes, s");
    Ok(medians(&what, &mut ratios, &mut ours, &mut theirs))
}
