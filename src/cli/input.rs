//! Inputs of verbs: a directory of policies, a dump of a cluster or a live one, manifests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use kube::Client;

use crate::cluster::api;
use crate::cluster::snapshot::{self, SnapshotError};
use apportion_core::diagnostics::Finding;
use apportion_core::inventory::{Inventory, Ledger, dump};
use apportion_core::policy::{Policy, PolicySet, parse};

/// The contents of all policies in a directory, by file name: `*.yaml`, `*.yml` and `*.json`,
/// without subdirectories and hidden files. A mounted `ConfigMap` contains `..data` and the like.
pub fn policy_texts(directory: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let shown = directory.display();
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read the policies in {shown}"))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read the policies in {shown}"))?
            .path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let known = path
            .extension()
            .is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
        if known && !hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

/// The policies of a directory, or their errors.
pub fn policies(directory: &Path) -> anyhow::Result<Result<Vec<Policy>, Vec<Finding>>> {
    policies_of(directory, &policy_texts(directory)?)
}

/// The policies of these texts, read from `directory`, or their errors.
pub fn policies_of(directory: &Path, texts: &[(String, String)]) -> anyhow::Result<Result<Vec<Policy>, Vec<Finding>>> {
    if texts.is_empty() {
        bail!(
            "{} has no policies: no file ends in .yaml, .yml or .json",
            directory.display()
        );
    }
    Ok(parse::parse_all(
        texts.iter().map(|(file, text)| (file.as_str(), text.as_str())),
    ))
}

/// The policies of a directory; fails if any is invalid.
pub fn policy_set(directory: &Path) -> anyhow::Result<PolicySet> {
    checked_policies(directory, &policy_texts(directory)?).map(PolicySet::new)
}

/// The policies of these texts, read from `directory`; one error lists all findings.
pub fn checked_policies(directory: &Path, texts: &[(String, String)]) -> anyhow::Result<Vec<Policy>> {
    policies_of(directory, texts)?.map_err(|findings| {
        let list = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        anyhow!("the policies in {} are invalid\n{list}", directory.display())
    })
}

/// The cluster of a dump file, under these policies.
pub fn cluster(file: &Path, policies: &PolicySet) -> anyhow::Result<Inventory> {
    cluster_of(&file.display().to_string(), &text(file)?, policies)
}

/// The cluster of a dump's text, under these policies.
pub fn cluster_of(file: &str, text: &str, policies: &PolicySet) -> anyhow::Result<Inventory> {
    Ok(dump::read(text)
        .with_context(|| file.to_owned())?
        .into_inventory(policies))
}

/// The cluster of a dump file, with its pods.
pub fn ledger(file: &Path) -> anyhow::Result<Ledger> {
    dump::read(&text(file)?).with_context(|| file.display().to_string())
}

/// The cluster of a dump file under the policies of a directory, by default `policies`; without a
/// dump the live cluster, as in [`live`].
pub fn dumped_or_live(cluster: Option<&Path>, policies: Option<&Path>) -> anyhow::Result<(PolicySet, Inventory)> {
    let Some(file) = cluster else {
        return live(policies);
    };
    let policies = policy_set(policies.unwrap_or(Path::new("policies")))?;
    let inventory = self::cluster(file, &policies)?;
    Ok((policies, inventory))
}

/// The live cluster, and its policies with those of a directory.
pub fn live(policies: Option<&Path>) -> anyhow::Result<(PolicySet, Inventory)> {
    let (policies, ledger) = live_ledger(policies)?;
    let inventory = ledger.into_inventory(&policies);
    Ok((policies, inventory))
}

/// The live cluster with its pods, and its policies with those of a directory.
pub fn live_ledger(policies: Option<&Path>) -> anyhow::Result<(PolicySet, Ledger)> {
    read_live(policies, snapshot::ledger)
}

/// The policies of the live cluster with those of a directory, and the cluster as a dump.
pub fn live_dump(policies: Option<&Path>) -> anyhow::Result<(PolicySet, String)> {
    read_live(policies, snapshot::dump)
}

/// The policies of the live cluster with those of a directory, and what `read` reads there. Warns
/// on standard error about invalid policies.
fn read_live<T>(
    policies: Option<&Path>,
    read: impl AsyncFnOnce(&Client) -> Result<T, SnapshotError>,
) -> anyhow::Result<(PolicySet, T)> {
    let files = match policies {
        Some(directory) => checked_policies(directory, &policy_texts(directory)?)?,
        None => Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, server) = api::connect_with_url().await?;
        // Errors name the server: the current context of the kubeconfig may not be the intended
        // one.
        let cluster = || format!("the cluster at {}", server.trim_end_matches('/'));
        let (policies, invalid) = snapshot::policies(&client, files).await.with_context(cluster)?;
        for message in invalid {
            writeln!(anstream::stderr(), "apportion: {message}").context("cannot write to standard error")?;
        }
        Ok((policies, read(&client).await.with_context(cluster)?))
    })
}

/// The text of a file; `-` is standard input.
pub fn text(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return Ok(text);
    }
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
