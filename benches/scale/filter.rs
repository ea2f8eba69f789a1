//! Filter calls compared with the baseline's: by number of names, size of the cluster and number of
//! pods.

use crate::duel::{Cost, Effort, Outcome, Side, duel};
use crate::synthetic::{Cluster, SORTS};
use crate::table;
use crate::world::{Apportion, Floor, World};
use crate::{Scale, calls};

/// The default number of names in an answer, here and in the baseline.
const SHORT: u32 = 20;

/// The default maximum of nodes in a call, after percentageOfNodesToScore.
const SAMPLE: u32 = 500;

const HEADS: &[&str] = &[
    "nodes",
    "pods",
    "names",
    "CPU, times the floor's",
    "CPU a call, µs",
    "floor, µs",
    "ns a name",
    "floor, ns",
    "p50, µs",
    "floor, µs",
    "p99, µs",
    "answer, B",
];

pub(crate) fn measure(world: &World) -> anyhow::Result<()> {
    let mut growth = Vec::new();
    let mut full = Vec::new();
    let mut kinds = Vec::new();
    let mut points = Vec::new();
    let largest = *world.scale.clusters.last().unwrap_or(&0);
    for &nodes in world.scale.clusters {
        let cluster = Cluster::new(nodes, world.scale.pods.min(nodes * 30))?;
        let api = world.api(nodes, cluster.pods)?;
        let names = [100, SAMPLE, 1000, 5000, 15_000]
            .into_iter()
            .filter(|names| *names < nodes)
            .chain([nodes]);
        let (short, floor) = (world.apportion(&api, &[])?, world.floor(nodes, Some(SHORT))?);
        for names in names {
            let outcome = contest(&short, &floor, &cluster.filter_question(names), names, world.scale)?;
            if nodes == largest {
                points.push((f64::from(names), outcome.first.cpu));
            }
            growth.push(row(&cluster, names, &outcome));
        }
        if nodes == world.scale.nodes {
            for (sort, kind) in SORTS {
                let names = SAMPLE.min(nodes / 10);
                let question = cluster.question_of_a_kind(kind, names);
                let outcome = contest(&short, &floor, &question, names, world.scale)?;
                let mut cells = row(&cluster, names, &outcome);
                cells.insert(0, sort.to_owned());
                kinds.push(cells);
            }
        }
        drop((short, floor));
        if nodes == world.scale.nodes {
            let (all, floor) = (
                world.apportion(&api, &["--filter-answer-size", "all"])?,
                world.floor(nodes, None)?,
            );
            for names in [SAMPLE.min(nodes), nodes] {
                let outcome = contest(&all, &floor, &cluster.filter_question(names), names, world.scale)?;
                full.push(row(&cluster, names, &outcome));
            }
        }
    }
    table::print(
        "Filter, plain HTTP/1.1, one connection, the best 20 answered",
        HEADS,
        &growth,
    );
    let (slope, fit) = line(&points);
    println!(
        "\nLinear in names: at {largest} nodes {:.0} ns for each more, R² {fit:.4}.",
        slope * 1000.0
    );
    let heads: Vec<&str> = ["asks for"].iter().chain(HEADS).copied().collect();
    table::print("Filter, nodes of the pod's own kind alone", &heads, &kinds);
    table::print(
        "Filter, everything answered: all names that fit, a reason for each of the others",
        HEADS,
        &full,
    );
    flatness(world)
}

fn contest(apportion: &Apportion, floor: &Floor, question: &str, names: u32, scale: Scale) -> anyhow::Result<Outcome> {
    let request = calls::post("/filter", question);
    let ours = Side {
        process: &apportion.process,
        target: apportion.extender.clone(),
    };
    let theirs = Side {
        process: &floor.process,
        target: floor.plain.clone(),
    };
    duel(&ours, &theirs, &request, effort(scale, names))
}

/// Fewer calls for large requests, which vary less.
fn effort(scale: Scale, names: u32) -> Effort {
    let calls = (scale.calls * 200 / names.max(200) as usize).max(20);
    Effort {
        rounds: scale.rounds,
        calls,
        connections: 1,
    }
}

fn row(cluster: &Cluster, names: u32, outcome: &Outcome) -> Vec<String> {
    let Outcome { first, second, ratio } = outcome;
    let a_name = |cost: &Cost| format!("{:.0}", cost.cpu * 1000.0 / f64::from(names));
    vec![
        cluster.nodes.to_string(),
        cluster.pods.to_string(),
        names.to_string(),
        format!("{ratio:.2}"),
        format!("{:.0}", first.cpu),
        format!("{:.0}", second.cpu),
        a_name(first),
        a_name(second),
        format!("{:.0}", first.p50),
        format!("{:.0}", second.p50),
        format!("{:.0}", first.p99),
        first.answer.to_string(),
    ]
}

/// The same request to the same cluster with fewer and more pods.
fn flatness(world: &World) -> anyhow::Result<()> {
    let Scale { nodes, pods, .. } = world.scale;
    let empty = Cluster::new(nodes, 0)?;
    let names = SAMPLE.min(nodes);
    let request = calls::post("/filter", &empty.filter_question(names));
    let quiet = world.api(nodes, 0)?;
    let none = world.apportion(&quiet, &[])?;
    let without = Side {
        process: &none.process,
        target: none.extender.clone(),
    };
    let mut rows = Vec::new();
    for pods in [pods / 10, pods / 3, pods] {
        let api = world.api(nodes, pods)?;
        let some = world.apportion(&api, &[])?;
        let with = Side {
            process: &some.process,
            target: some.extender.clone(),
        };
        let outcome = duel(&with, &without, &request, effort(world.scale, names))?;
        rows.push(vec![
            pods.to_string(),
            format!("{:.2}", outcome.ratio),
            format!("{:.0}", outcome.first.cpu),
            format!("{:.0}", outcome.second.cpu),
        ]);
    }
    table::print(
        &format!("Filter, {names} names of {nodes} nodes, as pods come"),
        &[
            "pods",
            "CPU, times that without pods",
            "CPU a call, µs",
            "without pods, µs",
        ],
        &rows,
    );
    Ok(())
}

/// Linear regression: the slope and the coefficient of determination.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (xy, xx) = (sum(&|p| (p.0 - x) * (p.1 - y)), sum(&|p| (p.0 - x).powi(2)));
    let slope = xy / xx;
    let rest = sum(&|p| (p.1 - y - slope * (p.0 - x)).powi(2));
    (slope, 1.0 - rest / sum(&|p| (p.1 - y).powi(2)))
}
