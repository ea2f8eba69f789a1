//! CPU and memory of the commands that read a dump, and how both grow, compared with a program that
//! only parses it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::de::IgnoredAny;

use crate::duel::quantile;
use crate::process::{Process, Spent};
use crate::synthetic::{Cluster, Stage};
use crate::table;
use crate::world::World;

/// Pods per node: 20,000 on 1,000 nodes.
const PODS_A_NODE: u32 = 20;

/// The worst case: every governed pod changes, and most fit nowhere, so that all nodes are searched
/// for each.
const TURNED: [(&str, &str); 4] = [
    ("training", "{strategy: mig, profiles: [1g.10gb], products: [A100]}"),
    ("multi-tenant", "{strategy: exclusive}"),
    ("development", "{strategy: mps, products: [T4]}"),
    ("inference", "{strategy: time-slicing}"),
];

/// Flags of the floor.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The dump
    file: PathBuf,
}

/// The baseline: parses the text as JSON.
pub(crate) fn parse(args: &Args) -> anyhow::Result<()> {
    let text = fs::read_to_string(&args.file)?;
    let IgnoredAny = serde_json::from_str(&text)?;
    Ok(())
}

pub(crate) fn measure(world: &World) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    policies(&old, &new)?;
    let mut rows = Vec::new();
    for &nodes in world.scale.dumps {
        let cluster = Cluster::new(nodes, nodes * PODS_A_NODE)?;
        let text = dump(&cluster);
        let json = directory.path().join("cluster.json");
        fs::write(&json, &text)?;
        let yaml = directory.path().join("cluster.yaml");
        let is_reference = world.scale.dumps.get(1) == Some(&nodes);
        let mut files = vec![("JSON", &json)];
        if is_reference {
            let value: serde_json::Value = serde_json::from_str(&text)?;
            fs::write(&yaml, serde_saphyr::to_string(&value)?)?;
            files.push(("YAML", &yaml));
        }
        for (format, file) in files {
            let mut replay = Command::new(world.binary());
            replay.arg("replay").arg("--output=json").arg("--cluster").arg(file);
            replay.arg("--policies").arg(&new).arg("--old").arg(&old);
            rows.push(row(world, &format!("replay, {format}"), nodes, replay, &json)?);
        }
        if is_reference {
            let mut map = Command::new(world.binary());
            map.arg("map").arg("--output=json").arg("--cluster").arg(&json);
            map.arg("--policies").arg(&old);
            rows.push(row(world, "map, JSON", nodes, map, &json)?);
        }
    }
    table::print(
        "Verbs on a dump: 14 KB a node, 6 KB a pod; all pods have GPUs; replay makes each that is governed again",
        &[
            "verb",
            "nodes",
            "pods",
            "dump, MB",
            "CPU, times the floor's",
            "CPU, s",
            "floor, s",
            "CPU a pod, µs",
            "peak RSS, times the dump",
        ],
        &rows,
    );
    Ok(())
}

fn row(world: &World, name: &str, nodes: u32, mut verb: Command, json: &Path) -> anyhow::Result<Vec<String>> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let mut floor = Command::new(this);
    floor.arg("parse").arg(json);
    let (mut ratios, mut own, mut bare, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..world.scale.rounds.min(3) {
        let (first, second) = (spent(&mut verb)?, spent(&mut floor)?);
        ratios.push(first.cpu.as_secs_f64() / second.cpu.as_secs_f64());
        own.push(first.cpu.as_secs_f64());
        bare.push(second.cpu.as_secs_f64());
        peak = peak.max(first.memory.peak);
    }
    let (own, pods) = (quantile(&mut own, 0.5), nodes * PODS_A_NODE);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (bytes, peak) = (fs::metadata(json)?.len() as f64, peak as f64 * 1024.0);
    Ok(vec![
        name.to_owned(),
        nodes.to_string(),
        pods.to_string(),
        format!("{:.0}", bytes / 1e6),
        format!("{:.1}", quantile(&mut ratios, 0.5)),
        format!("{own:.2}"),
        format!("{:.2}", quantile(&mut bare, 0.5)),
        format!("{:.0}", own * 1e6 / f64::from(pods)),
        format!("{:.1}", peak / bytes),
    ])
}

/// A dump in JSON, and policies before and after a change.
pub(crate) struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    pub(crate) fn write(nodes: u32) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        policies(&directory.path().join("old"), &directory.path().join("new"))?;
        let cluster = Cluster::new(nodes, nodes * PODS_A_NODE)?;
        fs::write(directory.path().join("cluster.json"), dump(&cluster))?;
        Ok(Files { directory })
    }

    /// The arguments of `replay` or `map` on the dump.
    pub(crate) fn arguments(&self, command: &mut Command, verb: &str) {
        let path = |name: &str| self.directory.path().join(name);
        command.arg(verb).arg("--output=json");
        command.arg("--cluster").arg(path("cluster.json"));
        if verb == "replay" {
            command.arg("--policies").arg(path("new")).arg("--old").arg(path("old"));
        } else {
            command.arg("--policies").arg(path("old"));
        }
    }
}

/// Findings (exit status 1) are not a failure.
pub(crate) fn spent(command: &mut Command) -> anyhow::Result<Spent> {
    let spent = Process::start(command.stdout(Stdio::null()))?.await_end(Duration::from_mins(10))?;
    ensure!(
        matches!(spent.status.code(), Some(0 | 1)),
        "{command:?} ended with {}",
        spent.status
    );
    Ok(spent)
}

/// The shipped policies, and the same names with other rules.
fn policies(old: &Path, new: &Path) -> anyhow::Result<()> {
    fs::create_dir(old)?;
    fs::create_dir(new)?;
    for (name, rule) in TURNED {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("policies/{name}.yaml"));
        fs::copy(shipped, old.join(format!("{name}.yaml")))?;
        let text = format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec:\n  strategies: [{rule}]\n"
        );
        fs::write(new.join(format!("{name}.yaml")), text)?;
    }
    Ok(())
}

/// The output of `kubectl get nodes,namespaces,pods -A -o json`. Every pod has GPUs.
fn dump(cluster: &Cluster) -> String {
    let mut text = r#"{"apiVersion":"v1","kind":"List","items":["#.to_owned();
    // Items of a list over HTTP may have no kind.
    let named = |kind: &str, object: &str| {
        if object.starts_with(r#"{"apiVersion""#) {
            object.to_owned()
        } else {
            format!(r#"{{"apiVersion":"v1","kind":"{kind}",{}"#, &object[1..])
        }
    };
    let nodes = (0..cluster.nodes).map(|at| {
        let mut node = String::new();
        cluster.node(at, &mut node);
        named("Node", &node)
    });
    let namespaces = cluster
        .namespaces()
        .iter()
        .map(|namespace| named("Namespace", namespace));
    let pods = (0..cluster.pods).map(|at| named("Pod", &cluster.gpu_pod(at, Stage::Bound, 1)));
    for (at, item) in nodes.chain(namespaces).chain(pods).enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push_str("]}");
    text
}
