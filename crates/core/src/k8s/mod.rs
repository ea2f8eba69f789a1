//! Views of Kubernetes objects, reduced to the fields that a sharing decision reads.
//!
//! The views borrow from the bytes they were parsed from and ignore every field they do not name:
//! a field that is never read cannot be lost. Nothing here knows about GPUs.

pub mod affinity;
pub mod container;
pub mod defaults;
pub mod labels;
pub mod manifest;
pub mod metadata;
pub mod namespace;
pub mod node;
pub mod normalized_affinity;
#[cfg(test)]
mod pairwise_oracle;
pub mod pod;
pub mod quantity;
pub mod request;
pub mod required_node_affinity;
pub mod requirement;
mod satisfiability;
pub mod selector;
mod sorted_index;
pub mod taint;
pub mod template;
pub mod text;
pub mod values;
pub mod volume;

pub use container::{Container, ContainerKind};
pub use labels::{LabelSource, Labels, PackedLabels};
pub use metadata::Metadata;
pub use node::Node;
pub use normalized_affinity::NormalizedAffinity;
pub use pod::Pod;
pub use quantity::Quantity;
pub use required_node_affinity::{RequiredNodeAffinity, SelectionConflict};
pub use requirement::{Operator, Requirement};
pub use selector::LabelSelector;
pub use taint::{Taint, Toleration};
pub use text::{Pairs, Text};
pub use values::Values;
