//! Apportion decides how each pod of a Kubernetes cluster may share GPUs, and makes it so.

pub mod admission;
pub mod cli;
pub mod decision;
pub mod extender;
pub mod gpu;
pub mod inventory;
pub mod lint;
pub mod object;
pub mod policy;
pub mod rewrite;
pub mod server;
