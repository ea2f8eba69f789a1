//! What an event of a pod costs the one who writes, from the record of the pod to the state that requests read.

use std::sync::Arc;
use std::time::Instant;

use apportion::inventory::{Inventory, Ledger, NodeEntry, PodRecord};

use crate::Scale;
use crate::duel::{micros, quantile};
use crate::synthetic::{Cluster, Stage};
use crate::table;

/// Events between two looks at the clock.
const BATCH: usize = 3000;

pub(crate) fn measure(scale: Scale) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut smallest = None;
    for &nodes in scale.clusters {
        let cluster = Cluster::new(nodes, scale.pods.min(nodes * 30))?;
        let (alone, each) = (
            cost(&cluster, scale.events, false)?,
            cost(&cluster, scale.events, true)?,
        );
        let first = *smallest.get_or_insert(each);
        rows.push(vec![
            nodes.to_string(),
            cluster.pods.to_string(),
            format!("{alone:.2}"),
            format!("{each:.2}"),
            format!("{:.2}", each / first),
        ]);
    }
    table::print(
        &format!(
            "Events: {} pods with GPUs that come, are bound and go; medians of {BATCH}",
            scale.events
        ),
        &[
            "nodes",
            "pods",
            "µs an event",
            "µs with a new state after each",
            "times that of the smallest",
        ],
        &rows,
    );
    Ok(())
}

/// Microseconds an event.
fn cost(cluster: &Cluster, events: usize, publish: bool) -> anyhow::Result<f64> {
    let mut ledger = filled(cluster)?;
    let mut state: Arc<Inventory> = Arc::new(ledger.inventory().clone());
    let mut costs = Vec::new();
    let batches = events.div_ceil(BATCH);
    for batch in 0..batches {
        // Made before the clock starts: what it costs to read a pod is not asked here.
        let events = batch_of(cluster, batch)?;
        let count = events.len();
        let started = Instant::now();
        for (key, record) in events {
            ledger.put_pod(&key, record);
            if publish {
                state = Arc::new(ledger.inventory().clone());
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "some thousands")]
        costs.push(micros(started.elapsed()) / count as f64);
    }
    drop(state);
    Ok(quantile(&mut costs, 0.5))
}

fn filled(cluster: &Cluster) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::default();
    let mut text = String::new();
    for at in 0..cluster.nodes {
        text.clear();
        cluster.node(at, &mut text);
        ledger.put_node(NodeEntry::of(serde_json::from_str(&text)?));
    }
    for at in 0..cluster.gpu_pods() {
        let (key, record) = read(&cluster.gpu_pod(at, Stage::Bound, 1))?;
        ledger.put_pod(&key, record);
    }
    Ok(ledger)
}

/// A third of a batch of pods that are made, then bound, then deleted, all over the cluster.
fn batch_of(cluster: &Cluster, batch: usize) -> anyhow::Result<Vec<(String, Option<PodRecord>)>> {
    let pods = u32::try_from(BATCH / 3)?;
    // The same pods come again a hundred batches later: their numbers have an end, and they are long gone.
    let first = cluster.gpu_pods() + u32::try_from(batch % 100)? * pods;
    let mut events = Vec::with_capacity(BATCH);
    for stage in [Stage::Waiting, Stage::Bound] {
        for at in first..first + pods {
            events.push(read(&cluster.gpu_pod(at, stage, 1))?);
        }
    }
    let gone: Vec<_> = events[..pods as usize]
        .iter()
        .map(|(key, _)| (key.clone(), None))
        .collect();
    events.extend(gone);
    Ok(events)
}

fn read(text: &str) -> anyhow::Result<(String, Option<PodRecord>)> {
    let pod = serde_json::from_str(text)?;
    let record = PodRecord::of(&pod);
    Ok((pod.metadata.key(), record))
}
