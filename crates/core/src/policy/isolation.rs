//! How a policy keeps pods from GPUs that they did not request.

use serde_saphyr::Spanned;

use super::document::IsolationDocument;
use crate::gpu::BypassKind;

/// The kinds of GPU bypass that a policy blocks; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    blocked: Vec<BypassKind>,
}

/// A field of `spec.isolation` that is neither `Deny` nor `Allow`.
#[derive(Debug)]
pub struct InvalidGuard<'b> {
    pub value: &'b Spanned<String>,
    /// The path of the field.
    pub field: String,
}

impl InvalidGuard<'_> {
    pub fn message(&self) -> String {
        format!("`{}` is neither Deny nor Allow; write one of them", self.value.value)
    }
}

impl Isolation {
    /// Everything that a policy can block.
    pub fn all() -> Self {
        Isolation::read(&IsolationDocument::default()).unwrap_or_default()
    }

    /// Reads `spec.isolation`. Fails with every invalid field.
    pub fn read(document: &IsolationDocument) -> Result<Self, Vec<InvalidGuard<'_>>> {
        use BypassKind as Kind;
        let guards: [(_, _, &[BypassKind]); 7] = [
            ("variables", &document.variables, &[Kind::EnvVar]),
            ("envFrom", &document.env_from, &[Kind::EnvFrom]),
            ("deviceAnnotations", &document.device_annotations, &[Kind::Annotation]),
            ("privileged", &document.privileged, &[Kind::Privileged]),
            ("hostPaths", &document.host_paths, &[Kind::HostPath, Kind::DeviceMount]),
            ("hostNamespaces", &document.host_namespaces, &[Kind::HostNamespace]),
            ("nodeName", &document.node_name, &[Kind::NodeName]),
        ];
        let mut blocked = Vec::new();
        if document.hide_gpus.unwrap_or(true) {
            blocked.push(Kind::Image);
        }
        let mut invalid = Vec::new();
        for (name, value, kinds) in guards {
            match value.as_ref().map(|value| (value, value.value.as_str())) {
                None | Some((_, "Deny")) => blocked.extend(kinds),
                Some((_, "Allow")) => {}
                Some((value, _)) => invalid.push(InvalidGuard {
                    value,
                    field: format!("spec.isolation.{name}"),
                }),
            }
        }
        if invalid.is_empty() {
            Ok(Isolation { blocked })
        } else {
            Err(invalid)
        }
    }

    pub fn blocks(&self, kind: BypassKind) -> bool {
        self.blocked.contains(&kind)
    }

    /// Whether containers that request no GPU must see none.
    pub fn hides_gpus(&self) -> bool {
        self.blocks(BypassKind::Image)
    }

    /// Whether anything is blocked.
    pub fn is_enabled(&self) -> bool {
        !self.blocked.is_empty()
    }
}
