//! Builders for the Kubernetes objects that tests use: pods, nodes, namespaces and policies.
//!
//! Builders make documents (JSON, or YAML for policies) and know no type of the code under test, so
//! a test reads its input the way the program does:
//!
//! ```
//! use apportion_testing::{Container, Pod};
//!
//! let pod = Pod::new("p").namespace("dev").container(Container::new("c").limit("cpu", 2));
//! assert_eq!(
//!     pod.to_string(),
//!     r#"{"metadata":{"name":"p","namespace":"dev"},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":2}}}]}}"#
//! );
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test with a malformed builder call should stop"
)]

mod json;
mod namespace;
mod node;
mod pod;
mod policy;

pub use json::set;
pub use namespace::Namespace;
pub use node::{Naming, Node, a100, a100_mig_mixed, a100_mig_single, t4, t4_renamed, v100};
pub use pod::{Container, Pod, requirement};
pub use policy::Policy;
