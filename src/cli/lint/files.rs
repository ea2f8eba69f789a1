//! Files of NVIDIA's components, and plans, as `apportion lint` is given them.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::cli::input;
use apportion_core::diagnostics::Finding;
use apportion_core::inventory::Inventory;
use apportion_nvidia::lint::{Sources, drift, tree};
use apportion_nvidia::plan;

/// Texts by file name.
pub type Texts = Vec<(String, String)>;

/// Files and settings to look at.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// Files: the device plugin's configuration or mig-parted's, alone or in a `ConfigMap`; the GPU Operator's values or
    /// `ClusterPolicy`; a shell script that installs it by helm; a `GpuSharingPlan`. Give those that belong together at once. `-` is
    /// standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A value of the GPU Operator, as `helm --set` takes it.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The namespace of the GPU Operator's release, where its pods mount what they are configured by.
    #[arg(long, value_name = "NAME", default_value = "gpu-operator")]
    operator_namespace: String,
}

impl Given {
    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.set.is_empty()
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// What is found, and the texts that it was found in.
    pub fn lint(&self, cluster: Option<&(String, Inventory)>) -> anyhow::Result<(Vec<Finding>, Texts)> {
        let mut sources = Sources {
            operator_namespace: self.operator_namespace.clone(),
            ..Sources::default()
        };
        let (mut findings, mut texts) = (Vec::new(), Vec::new());
        for path in &self.files {
            let (file, text) = (shown(path), input::text(path)?);
            if is_plan(&file, &text) {
                findings.extend(plan::parse(&file, &text).map_or_else(|findings| findings, |(_, findings)| findings));
            } else {
                let read = if is_script(path, &text) {
                    sources.add_script(&file, &text)
                } else {
                    sources.add(&file, &text)
                };
                findings.extend(read.err().into_iter().flatten());
            }
            texts.push((file, text));
        }
        for setting in &self.set {
            sources.set(setting).map_err(|error| anyhow!("--set: {error}"))?;
        }
        findings.extend(apportion_nvidia::lint::lint(
            &sources,
            cluster.map(|(_, inventory)| inventory),
        ));
        if let Some((file, inventory)) = cluster {
            findings.extend(drift::lint(&sources, inventory, file));
        }
        Ok((findings, texts))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Commands, or a text that shows them, and no YAML.
fn is_script(path: &Path, text: &str) -> bool {
    let known = |ending: &std::ffi::OsStr| ["sh", "bash", "md"].iter().any(|known| ending == *known);
    path.extension().is_some_and(known) || text.starts_with("#!")
}

fn is_plan(file: &str, text: &str) -> bool {
    tree::read(file, text).is_ok_and(|documents| {
        documents
            .iter()
            .any(|document| document.get("kind").and_then(tree::Value::text) == Some(plan::model::KIND))
    })
}
