//! Namespaces.

use std::fmt;

use serde_json::{Value, json};

use crate::json::set;

/// A namespace. `Display` prints its JSON.
#[derive(Clone, Debug)]
pub struct Namespace(Value);

impl Namespace {
    /// A namespace without labels.
    pub fn new(name: &str) -> Self {
        Namespace(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    }

    /// Sets a label.
    #[must_use]
    pub fn label(self, key: &str, value: &str) -> Self {
        let pointer = format!("/metadata/labels/{}", key.replace('/', "~1"));
        Namespace(set(self.0, &pointer, value))
    }

    /// Sets the label that selects a policy.
    #[must_use]
    pub fn policy(self, name: &str) -> Self {
        self.label("apportion.dev/policy", name)
    }
}

impl From<Namespace> for Value {
    fn from(namespace: Namespace) -> Value {
        namespace.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
