//! A policy as it is written: `kind: GpuSharingPolicy`.
//!
//! Every value that can be wrong keeps its place in the text, so that the message about it can name line and column.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use super::isolation::IsolationBlock;

/// The document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// `apportion.dev/v1alpha1`.
    pub api_version: Spanned<String>,
    /// `GpuSharingPolicy`.
    pub kind: Spanned<String>,
    /// A `metav1.ObjectMeta`; a document that came from a cluster holds more of it than we read.
    pub metadata: Metadata,
    /// The policy.
    pub spec: Spanned<Spec>,
    /// Written by the cluster, if it came from one.
    #[serde(default, rename = "status")]
    _status: Option<IgnoredAny>,
}

/// Its metadata.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The policy's name.
    pub name: Spanned<String>,
}

/// Its specification.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// `Enforce`, `Warn` or `Audit`.
    #[serde(default)]
    pub mode: Option<Spanned<String>>,
    /// The namespaces governed; default: those whose label `apportion.dev/policy` is the policy's name.
    #[serde(default)]
    pub namespace_selector: Option<Selector>,
    /// The pods governed in them; default: all.
    #[serde(default)]
    pub pod_selector: Option<Selector>,
    /// Of several policies that match a pod, the highest governs.
    #[serde(default)]
    pub priority: i32,
    /// What pods are promised of their neighbours.
    #[serde(default)]
    pub limits: Option<Spanned<LimitsEntry>>,
    /// What is allowed, in order of preference.
    pub strategies: Spanned<Vec<Spanned<StrategyEntry>>>,
    /// How pods are kept from GPUs that they were not given; default: not at all.
    #[serde(default)]
    pub isolation: Option<IsolationBlock>,
}

/// One allowed strategy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StrategyEntry {
    /// `exclusive`, `mig`, `mps` or `time-slicing`.
    pub strategy: Spanned<String>,
    /// MIG profiles allowed, smallest first.
    #[serde(default)]
    pub profiles: Vec<Spanned<String>>,
    /// GPU products allowed.
    #[serde(default)]
    pub products: Vec<Spanned<String>>,
}

/// What pods are promised of their neighbours on shared GPUs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsEntry {
    /// At most so many shares of each physical GPU.
    #[serde(default, rename = "sharesPerGPU")]
    pub shares_per_gpu: Option<Spanned<i64>>,
    /// `Unchecked`, `Total` or `PerGPU`.
    #[serde(default)]
    pub memory: Option<Spanned<String>>,
    /// What a pod counts with that declares no memory.
    #[serde(default)]
    pub undeclared_memory: Option<Spanned<String>>,
    /// `Together` or `Apart`.
    #[serde(default)]
    pub tenants: Option<Spanned<String>>,
    /// The label of namespaces that names their tenant.
    #[serde(default)]
    pub tenant_label: Option<Spanned<String>>,
}

/// A `metav1.LabelSelector`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels with their values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, Spanned<String>>,
    /// Comparisons.
    #[serde(default)]
    pub match_expressions: Vec<Spanned<Expression>>,
}

/// A `metav1.LabelSelectorRequirement`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expression {
    /// The label.
    pub key: Spanned<String>,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: Spanned<String>,
    /// With what.
    #[serde(default)]
    pub values: Vec<Spanned<String>>,
}
