//! The cost of a pod event for the writer, from the pod record to the published state.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use apportion::cli::input;
use apportion_core::inventory::{Inventory, Ledger, NodeEntry, PodRecord};
use apportion_core::k8s::Labels;
use apportion_core::k8s::namespace::Namespace;

use crate::Scale;
use crate::duel::{micros, quantile};
use crate::synthetic::{Cluster, Stage};
use crate::table;

/// Events in a batch.
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
    awaited(scale)
}

/// The cost of assigning waiting pods to offers, which happens at most four times a second. The
/// worst case is pods that fit nowhere, because every node is searched for each.
fn awaited(scale: Scale) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for &nodes in scale.clusters {
        let cluster = Cluster::new(nodes, scale.pods.min(nodes * 30))?;
        let mut ledger = filled(&cluster)?;
        let room = cluster.gpu_pods();
        let mut cells = vec![nodes.to_string()];
        let mut next = room;
        for waiting in [0, 100, 2000] {
            while next < room + waiting {
                // More than any node of its kind has free.
                let pod = cluster
                    .gpu_pod(next * 10, Stage::Waiting, 1)
                    .replace(r#"/gpu":"1""#, r#"/gpu":"8""#);
                let (key, record) = read(&pod)?;
                ledger.put_pod(&key, record);
                next += 1;
            }
            let mut costs = Vec::new();
            for _ in 0..5 {
                // Without a change, nothing is computed.
                let (key, record) = read(&cluster.gpu_pod(room - 1, Stage::Bound, 1))?;
                ledger.put_pod(&key, None);
                ledger.put_pod(&key, record);
                let started = Instant::now();
                ledger.refresh_pending_demand();
                costs.push(micros(started.elapsed()));
            }
            cells.push(format!("{:.0}", quantile(&mut costs, 0.5)));
        }
        rows.push(cells);
    }
    table::print(
        "Finding out what waiting pods await, µs, where no node has room for any of them",
        &["nodes", "0 pods wait", "100", "2,000"],
        &rows,
    );
    Ok(())
}

/// Microseconds per event.
fn cost(cluster: &Cluster, events: usize, publish: bool) -> anyhow::Result<f64> {
    let mut ledger = filled(cluster)?;
    let mut state: Arc<Inventory> = Arc::new(ledger.inventory().clone());
    let mut costs = Vec::new();
    let batches = events.div_ceil(BATCH);
    for batch in 0..batches {
        // Prepared before the measurement, which excludes parsing.
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
    // The shipped policies, as the writer has them.
    let policies = input::policy_set(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies")))?;
    ledger.set_policies(Arc::new(policies));
    for namespace in cluster.namespaces() {
        let namespace: Namespace<'_> = serde_json::from_str(namespace)?;
        let name = namespace
            .metadata
            .name
            .as_deref()
            .context("a namespace without a name")?;
        ledger.put_namespace(name, Labels::from(&namespace.metadata.labels));
    }
    let mut text = String::new();
    for at in 0..cluster.nodes {
        text.clear();
        cluster.node(at, &mut text);
        ledger.put_node(NodeEntry::new(serde_json::from_str(&text)?));
    }
    for at in 0..cluster.gpu_pods() {
        let (key, record) = read(&cluster.gpu_pod(at, Stage::Bound, 1))?;
        ledger.put_pod(&key, record);
    }
    Ok(ledger)
}

/// A batch: a third creates pods, a third binds them and a third deletes them, across the cluster.
fn batch_of(cluster: &Cluster, batch: usize) -> anyhow::Result<Vec<(String, Option<PodRecord>)>> {
    let pods = u32::try_from(BATCH / 3)?;
    // Pod numbers repeat after a hundred batches, when the pods are long deleted.
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
    let record = PodRecord::from_pod(&pod);
    Ok((pod.metadata.key(), record))
}
