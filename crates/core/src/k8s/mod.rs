//! Kubernetes objects, reduced to the fields that a sharing decision reads.
//!
//! The views borrow from the bytes that they were parsed from, and ignore every field that they do not name: what we
//! do not read we can not lose. Nothing here knows what a GPU is.

pub mod constraint;
pub mod container;
pub mod defaults;
pub mod device_class;
pub mod entailment;
pub mod environment;
pub mod manifest;
pub mod node;
pub mod packed;
pub mod pod;
pub mod preference;
pub mod quantity;
pub mod quota;
pub mod request;
pub mod selector;
pub mod taint;
pub mod template;
pub mod text;
pub mod volume;

pub use constraint::Constraints;
pub use container::{Container, ContainerKind};
pub use node::Node;
pub use packed::PackedLabels;
pub use pod::Pod;
pub use quantity::Quantity;
pub use selector::{LabelSelector, Operator, Requirement};
pub use taint::{Taint, Toleration};
pub use text::{LabelSource, Pairs, Text};
