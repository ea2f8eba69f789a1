//! What a policy says of GPUs that a pod was not given.

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::gpu::BypassKind;

/// `spec.isolation` as it is written. A field that is missing shuts its door: to write the block at all is to ask for isolation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IsolationBlock {
    /// Containers that ask for no GPU see none.
    #[serde(default)]
    pub hide_gpus: Option<bool>,
    /// `NVIDIA_VISIBLE_DEVICES`, `CUDA_MPS_*` and their like in `env`.
    #[serde(default)]
    pub variables: Option<Spanned<String>>,
    /// `envFrom` that could set one of these, in containers that ask for GPUs.
    #[serde(default)]
    pub env_from: Option<Spanned<String>>,
    /// Annotations by which runtimes inject devices.
    #[serde(default)]
    pub device_annotations: Option<Spanned<String>>,
    /// Privileged containers, and capabilities that amount to it.
    #[serde(default)]
    pub privileged: Option<Spanned<String>>,
    /// Host paths to devices and to the sockets of those who hand them out.
    #[serde(default)]
    pub host_paths: Option<Spanned<String>>,
    /// `hostPID` and `hostIPC`.
    #[serde(default)]
    pub host_namespaces: Option<Spanned<String>>,
    /// `spec.nodeName` on new pods that ask for GPUs.
    #[serde(default)]
    pub node_name: Option<Spanned<String>>,
}

/// A field of the block, what it says, and the side doors that it is about.
type Guard<'b> = (&'static str, &'b Option<Spanned<String>>, &'static [BypassKind]);

/// The side doors that a policy shuts; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    shut: Vec<BypassKind>,
}

/// A word that is neither `Deny` nor `Allow`, and the field that holds it.
#[derive(Debug)]
pub struct InvalidGuard<'b> {
    /// The word, with its place.
    pub word: &'b Spanned<String>,
    /// The field.
    pub field: String,
    /// What to write instead.
    pub message: String,
}

impl Isolation {
    /// All that can be shut.
    pub fn whole() -> Self {
        Isolation::read(&IsolationBlock::default()).unwrap_or_default()
    }

    /// Reads the block.
    pub fn read(block: &IsolationBlock) -> Result<Self, Vec<InvalidGuard<'_>>> {
        use BypassKind as Kind;
        let guards: [Guard<'_>; 7] = [
            ("variables", &block.variables, &[Kind::Variable]),
            ("envFrom", &block.env_from, &[Kind::VariableSource]),
            ("deviceAnnotations", &block.device_annotations, &[Kind::Annotation]),
            ("privileged", &block.privileged, &[Kind::Privileged]),
            ("hostPaths", &block.host_paths, &[Kind::HostPath, Kind::DeviceMount]),
            ("hostNamespaces", &block.host_namespaces, &[Kind::HostNamespace]),
            ("nodeName", &block.node_name, &[Kind::NodeName]),
        ];
        let mut shut = Vec::new();
        if block.hide_gpus.unwrap_or(true) {
            shut.push(Kind::Image);
        }
        let mut wrong = Vec::new();
        for (name, word, kinds) in guards {
            match word.as_ref().map(|word| (word, word.value.as_str())) {
                None | Some((_, "Deny")) => shut.extend(kinds),
                Some((_, "Allow")) => {}
                Some((word, other)) => wrong.push(InvalidGuard {
                    word,
                    field: format!("spec.isolation.{name}"),
                    message: format!("`{other}` is neither Deny nor Allow; write one of them"),
                }),
            }
        }
        if wrong.is_empty() {
            Ok(Isolation { shut })
        } else {
            Err(wrong)
        }
    }

    /// Whether a kind of side door is shut.
    pub fn shuts(&self, kind: BypassKind) -> bool {
        self.shut.contains(&kind)
    }

    /// Whether containers that ask for no GPU are to see none.
    pub fn hides_gpus(&self) -> bool {
        self.shuts(BypassKind::Image)
    }

    /// Whether anything is shut.
    pub fn is_any(&self) -> bool {
        !self.shut.is_empty()
    }
}
