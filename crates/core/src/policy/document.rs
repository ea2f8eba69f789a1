//! A policy as it is written: `kind: GpuSharingPolicy`.
//!
//! Values that can be wrong keep their location in the text, so that findings can name line and
//! column.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use crate::diagnostics::SelectorDocument;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    pub api_version: Spanned<String>,
    pub kind: Spanned<String>,
    /// A `metav1.ObjectMeta`. Unknown fields are ignored, since an object that comes from a cluster
    /// has many.
    pub metadata: Metadata,
    pub spec: Spanned<Spec>,
    /// Allowed, since an object that comes from a cluster has one.
    #[serde(default, rename = "status")]
    _status: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub struct Metadata {
    pub name: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// `Enforce`, `Warn` or `Audit`.
    #[serde(default)]
    pub mode: Option<Spanned<String>>,
    /// The governed namespaces. Default: those whose label `apportion.dev/policy` is the policy's
    /// name.
    #[serde(default)]
    pub namespace_selector: Option<SelectorDocument>,
    /// The governed pods in these namespaces. Default: all.
    #[serde(default)]
    pub pod_selector: Option<SelectorDocument>,
    /// If several policies match a pod, the one with the highest priority governs it.
    #[serde(default)]
    pub priority: i32,
    /// What pods are guaranteed about the pods that they share GPUs with.
    #[serde(default)]
    pub limits: Option<Spanned<LimitsEntry>>,
    /// What is allowed, in order of preference.
    pub strategies: Spanned<Vec<Spanned<StrategyEntry>>>,
    /// How pods are kept from GPUs that they did not request. Default: not at all.
    #[serde(default)]
    pub isolation: Option<IsolationDocument>,
}

/// One entry of `spec.strategies`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StrategyEntry {
    /// `exclusive`, `mig`, `mps` or `time-slicing`.
    pub strategy: Spanned<String>,
    /// Allowed MIG profiles, smallest first.
    #[serde(default)]
    pub profiles: Vec<Spanned<String>>,
    /// Allowed GPU products.
    #[serde(default)]
    pub products: Vec<Spanned<String>>,
}

/// `spec.limits`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsEntry {
    /// The maximum number of shares of each physical GPU.
    #[serde(default, rename = "sharesPerGPU")]
    pub shares_per_gpu: Option<Spanned<i64>>,
    /// `Unchecked`, `Total` or `PerGPU`.
    #[serde(default)]
    pub memory: Option<Spanned<String>>,
    /// The memory that each share counts with if its pod declares none.
    #[serde(default)]
    pub undeclared_memory: Option<Spanned<String>>,
    /// `Together` or `Apart`.
    #[serde(default)]
    pub tenants: Option<Spanned<String>>,
    /// The key of the namespace label that names the tenant.
    #[serde(default)]
    pub tenant_label: Option<Spanned<String>>,
}

/// `spec.isolation`. Fields are `Deny` by default: writing the block at all requests isolation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IsolationDocument {
    /// Whether containers that request no GPU see none.
    #[serde(default)]
    pub hide_gpus: Option<bool>,
    /// Environment variables such as `NVIDIA_VISIBLE_DEVICES` and `CUDA_MPS_*`.
    #[serde(default)]
    pub variables: Option<Spanned<String>>,
    /// `envFrom` that may set such a variable, in containers that request GPUs.
    #[serde(default)]
    pub env_from: Option<Spanned<String>>,
    /// Annotations that make container runtimes inject devices.
    #[serde(default)]
    pub device_annotations: Option<Spanned<String>>,
    /// Privileged containers, and capabilities with the same effect.
    #[serde(default)]
    pub privileged: Option<Spanned<String>>,
    /// Host paths of devices, and of the sockets of programs that allocate devices.
    #[serde(default)]
    pub host_paths: Option<Spanned<String>>,
    /// `hostPID` and `hostIPC`.
    #[serde(default)]
    pub host_namespaces: Option<Spanned<String>>,
    /// `spec.nodeName` on new pods that request GPUs.
    #[serde(default)]
    pub node_name: Option<Spanned<String>>,
}
