//! The webhook compared with a server that echoes the same bytes.

use crate::duel::{Effort, Outcome, Side, duel};
use crate::table;
use crate::world::World;
use crate::{calls, synthetic};

/// Concurrent connections; kube-apiserver keeps up to 25.
const CONNECTIONS: usize = 8;

pub(crate) fn measure(world: &World) -> anyhow::Result<()> {
    let review = synthetic::review()?;
    let request = calls::post("/mutate", &review);
    let nodes = world.scale.nodes;
    // Half of the GPUs of the cluster are free: the usual case.
    let api = world.api(nodes, world.scale.pods / 2)?;
    let floor = world.floor(nodes, None)?;
    let mut rows = Vec::new();
    for (name, flags) in [("as shipped", &[][..]), ("--log warn", &["--log", "warn"])] {
        let apportion = world.apportion(&api, flags)?;
        let ours = Side {
            process: &apportion.process,
            target: apportion.webhook.clone(),
        };
        let theirs = Side {
            process: &floor.process,
            target: floor.secure.clone(),
        };
        let effort = Effort {
            rounds: world.scale.rounds,
            calls: world.scale.calls * 2,
            connections: CONNECTIONS,
        };
        rows.push(row(name, &duel(&ours, &theirs, &request, effort)?));
    }
    let title = format!(
        "Webhook: {} bytes of AdmissionReview, TLS 1.3, HTTP/1.1, {CONNECTIONS} connections, {nodes} nodes; the floor is an echo",
        review.len()
    );
    table::print(
        &title,
        &[
            "",
            "CPU, times the floor's",
            "CPU a call, µs",
            "floor, µs",
            "p50, µs",
            "floor, µs",
        ],
        &rows,
    );
    Ok(())
}

fn row(name: &str, outcome: &Outcome) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.2}", outcome.ratio),
        format!("{:.1}", outcome.first.cpu),
        format!("{:.1}", outcome.second.cpu),
        format!("{:.0}", outcome.first.p50),
        format!("{:.0}", outcome.second.p50),
    ]
}
