//! Valid policies.

use std::fmt;

use super::isolation::Isolation;
use crate::diagnostics::finding::Location;
use crate::gpu::Strategy;
use crate::gpu::names::POLICY_LABEL;
use crate::k8s::{LabelSelector, LabelSource, Operator, Requirement};
use crate::policy::{Limits, SharingRule};

/// The API group and version of policies.
pub const API_VERSION: &str = "apportion.dev/v1alpha1";
/// The kind of policies.
pub const KIND: &str = "GpuSharingPolicy";

/// The name of a policy. It fits into a label value, because namespaces name their policy by a
/// label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Box<str>);

impl PolicyName {
    pub fn parse(name: &str) -> Result<Self, InvalidPolicyName> {
        let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let is_edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = name.as_bytes();
        if bytes.len() <= 63 && is_edge(bytes.first()) && is_edge(bytes.last()) && bytes.iter().all(|b| is_inner(*b)) {
            Ok(PolicyName(name.into()))
        } else {
            Err(InvalidPolicyName(name.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a valid policy name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a valid policy name; use at most 63 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"
)]
pub struct InvalidPolicyName(pub String);

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a policy does with pods that do not comply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Rewrites or denies them.
    #[default]
    Enforce,
    /// Admits them unchanged, and warns the user of what Enforce would do.
    Warn,
    /// Admits them unchanged; counts and logs them.
    Audit,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Enforce, Mode::Warn, Mode::Audit];

    /// The name in policies and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "Enforce",
            Mode::Warn => "Warn",
            Mode::Audit => "Audit",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A valid policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub name: PolicyName,
    pub mode: Mode,
    /// The governed namespaces.
    pub namespaces: LabelSelector,
    /// The governed pods in these namespaces; all by default.
    pub pods: LabelSelector,
    /// If several policies match a pod, the one with the highest priority governs it.
    pub priority: i32,
    /// What pods are guaranteed about the pods that they share GPUs with.
    pub limits: Limits,
    /// The key of the namespace label that names the tenant. By default, each namespace is a
    /// tenant.
    pub tenant_label: Option<Box<str>>,
    /// In order of preference; never empty.
    pub rules: Vec<Rule>,
    pub isolation: Isolation,
    /// The location of the name.
    pub location: Location,
}

/// One entry of a policy's `strategies`, with its locations in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub sharing: SharingRule,
    pub location: Location,
    /// For each profile.
    pub profile_locations: Vec<Location>,
    /// For each product.
    pub product_locations: Vec<Location>,
}

impl Policy {
    /// Selects the namespaces whose label names the policy.
    pub fn default_namespaces(name: &PolicyName) -> LabelSelector {
        LabelSelector {
            requirements: vec![Requirement::new(POLICY_LABEL, Operator::In, [name.as_str()])],
        }
    }

    pub fn matches(&self, namespace_labels: &impl LabelSource, pod_labels: &impl LabelSource) -> bool {
        self.namespaces.matches(namespace_labels) && self.pods.matches(pod_labels)
    }

    /// In order of preference.
    pub fn sharing_rules(&self) -> impl Iterator<Item = &SharingRule> + Clone {
        self.rules.iter().map(|rule| &rule.sharing)
    }

    pub fn allows(&self, strategy: Strategy) -> bool {
        self.sharing_rules().any(|rule| rule.strategy == strategy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_label_values() {
        for (name, is_valid) in [
            ("training", true),
            ("multi-tenant", true),
            ("team.a-1", true),
            ("", false),
            ("Training", false),
            ("-a", false),
            ("a-", false),
            ("a_b", false),
            ("a/b", false),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
        ] {
            assert_eq!(PolicyName::parse(name).is_ok(), is_valid, "{name}");
        }
    }
}
