//! The files of NVIDIA's components, and plans, that are given to `apportion lint`.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli::input;
use apportion_core::diagnostics::Finding;
use apportion_core::inventory::Inventory;
use apportion_nvidia::lint::{Sources, lint, lint_nodes};
use apportion_nvidia::plan;

/// Texts by file name.
pub type Texts = Vec<(String, String)>;

#[derive(Debug, clap::Args)]
pub struct Inputs {
    /// Files to check together: the device plugin's or mig-parted's configuration, alone or in a
    /// `ConfigMap`; the GPU Operator's values or `ClusterPolicy`; a shell script, or Markdown with
    /// fenced code blocks, that installs it with helm; a `GpuSharingPlan`. `-` is standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A value of the GPU Operator, as in `helm --set`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The namespace of the GPU Operator's release, from which its pods mount their configuration.
    #[arg(long, value_name = "NAME", default_value = "gpu-operator")]
    operator_namespace: String,
}

impl Inputs {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.set.is_empty()
    }

    /// The number of files.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Checks the files and settings, and returns the findings and the texts of the files.
    pub fn lint(&self, cluster: Option<&(String, Inventory)>) -> anyhow::Result<(Vec<Finding>, Texts)> {
        let mut sources = Sources::new(&self.operator_namespace);
        let (mut findings, mut texts) = (Vec::new(), Vec::new());
        for path in &self.files {
            let (file, text) = (path.display().to_string(), input::text(path)?);
            if plan::is_plan(&text) {
                findings.extend(plan::parse(&file, &text).map_or_else(|findings| findings, |(_, findings)| findings));
            } else if let Err(errors) = sources.add(&file, &text) {
                findings.extend(errors);
            }
            texts.push((file, text));
        }
        for setting in &self.set {
            sources.set(setting).context("--set")?;
        }
        findings.extend(lint(&sources, cluster.map(|(_, inventory)| inventory)));
        if let Some((file, inventory)) = cluster {
            findings.extend(lint_nodes(&sources, inventory, file));
        }
        Ok((findings, texts))
    }
}
