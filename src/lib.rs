//! Apportion decides how each pod of a Kubernetes cluster may share GPUs, and makes it so.

pub mod gpu;
pub mod object;
pub mod server;
pub mod tls;
