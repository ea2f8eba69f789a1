//! Maps which tenants share which GPU nodes.
//!
//! [`ClusterMap`] is the data, which `map --output json` prints; [`html`] and [`svg`] draw it with
//! the parts in [`drawing`].
//!
//! The Kubernetes API tells on which node a pod runs, but only the kubelet knows which of the
//! node's GPUs it uses. So shares are counted per node and never assigned to a GPU.

pub mod cluster_map;
pub mod drawing;
pub mod html;
pub mod selection;
pub mod svg;
pub mod waiting;

pub use cluster_map::ClusterMap;
pub use globset::Glob;
pub use selection::Selection;
