//! Talks to a live cluster: reads and writes what Apportion keeps in its API.

pub mod ca_bundle;
pub mod ca_secret;
mod changes;
pub mod managed;
pub mod refusal;
