//! A policy, checked.

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

/// A policy's name: a DNS label, so that it can be the value of a namespace's label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Box<str>);

impl PolicyName {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, NotAName> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = name.as_bytes();
        if bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| inner(*b)) {
            Ok(PolicyName(name.into()))
        } else {
            Err(NotAName(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that can not name a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` can not name a policy: use at most 63 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"
)]
pub struct NotAName(pub String);

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a policy does to pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Rewrites and denies.
    #[default]
    Enforce,
    /// Admits as it is, and tells the user what would happen.
    Warn,
    /// Admits as it is, counts and logs.
    Audit,
}

impl Mode {
    /// Every mode.
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

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// What it does.
    pub mode: Mode,
    /// The namespaces that it governs.
    pub namespaces: LabelSelector,
    /// The pods in them that it governs; all of them by default.
    pub pods: LabelSelector,
    /// Of several policies that match, the highest governs.
    pub priority: i32,
    /// What its pods are promised of their neighbours.
    pub limits: Limits,
    /// The label of namespaces that names their tenant; by default a namespace is its own.
    pub tenant_label: Option<Box<str>>,
    /// What it allows, in order of preference; never empty.
    pub rules: Vec<Rule>,
    /// How it keeps pods from GPUs that they were not given.
    pub isolation: Isolation,
    /// Where it was read.
    pub location: Location,
}

/// One entry of a policy's `strategies`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it allows.
    pub sharing: SharingRule,
    /// Where it was read.
    pub location: Location,
    /// Where each of its profiles was read.
    pub profile_locations: Vec<Location>,
    /// Where each of its products was read.
    pub product_locations: Vec<Location>,
}

impl Policy {
    /// Namespaces that name the policy in their label.
    pub fn default_namespaces(name: &PolicyName) -> LabelSelector {
        LabelSelector {
            requirements: vec![Requirement::new(POLICY_LABEL, Operator::In, [name.as_str()])],
        }
    }

    /// Whether the policy matches a pod with these labels in a namespace with those.
    pub fn matches(&self, namespace: &impl LabelSource, pod: &impl LabelSource) -> bool {
        self.namespaces.matches(namespace) && self.pods.matches(pod)
    }

    /// What it allows, in order of preference.
    pub fn sharing_rules(&self) -> impl Iterator<Item = &SharingRule> + Clone {
        self.rules.iter().map(|rule| &rule.sharing)
    }

    /// Whether some rule allows a strategy.
    pub fn allows(&self, strategy: Strategy) -> bool {
        self.sharing_rules().any(|rule| rule.strategy == strategy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_a_label() {
        for (name, good) in [
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
            assert_eq!(PolicyName::parse(name).is_ok(), good, "{name}");
        }
    }
}
