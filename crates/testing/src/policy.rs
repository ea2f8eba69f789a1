//! Policies.

use std::fmt;

/// A `GpuSharingPolicy`. `Display` prints it as one YAML document.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    spec: String,
}

impl Policy {
    /// A policy with a `spec` in YAML's flow style: `{strategies: [{strategy: exclusive}]}`.
    pub fn new(name: &str, spec: &str) -> Self {
        Policy {
            name: name.to_owned(),
            spec: spec.to_owned(),
        }
    }

    /// Several policies as one YAML stream.
    pub fn stream<'t>(specs: impl IntoIterator<Item = (&'t str, &'t str)>) -> String {
        let documents: Vec<String> = specs
            .into_iter()
            .map(|(name, spec)| Policy::new(name, spec).to_string())
            .collect();
        documents.join("---\n")
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Policy { name, spec } = self;
        writeln!(f, "apiVersion: apportion.dev/v1alpha1")?;
        writeln!(f, "kind: GpuSharingPolicy")?;
        writeln!(f, "metadata: {{name: {name}}}")?;
        writeln!(f, "spec: {spec}")
    }
}
