//! Decides how each pod may share GPUs. A pure core: no files, sockets, clock, threads or logs.
//!
//! ```text
//!     namespace label, policy            node labels, allocatable, pods
//!                  \                          /
//!                   decision::decide(pod, policy, inventory)
//!                  /                          \
//!     admission: rewrites the pod        extender: keeps the nodes that can hold it
//! ```

pub mod admission;
pub mod decision;
pub mod diagnostics;
pub mod extender;
pub mod gpu;
pub mod inventory;
pub mod k8s;
pub mod patch;
pub mod policy;
