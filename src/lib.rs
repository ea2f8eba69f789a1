//! Apportion decides how each pod of a Kubernetes cluster may share GPUs, and makes it so.
//!
//! ```text
//!     namespace label, policy            node labels, allocatable, pods
//!                  \                          /
//!                   decision::decide(pod, policy, inventory)
//!                  /                          \
//!     admission: rewrites the pod        extender: keeps the nodes that can hold it
//! ```
//!
//! `object`, `gpu`, `inventory`, `policy`, `decision`, `rewrite`, `admission`, `extender`, `plan`, `lint` and `audit` are pure: bytes and
//! values in, values out. `prometheus`, `tls`, `server`, `service`, `cluster` and `cli` do the input and output. ARCHITECTURE.md has the map.

pub mod admission;
pub mod audit;
pub mod cli;
pub mod cluster;
pub mod decision;
pub mod extender;
pub mod gpu;
pub mod inventory;
pub mod lint;
pub mod object;
pub mod plan;
pub mod policy;
pub mod prometheus;
pub mod rewrite;
pub mod server;
pub mod service;
pub mod tls;
