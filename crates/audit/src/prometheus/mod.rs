//! A client for the HTTP API of Prometheus, and of servers that are compatible with it: Thanos, Mimir,
//! `VictoriaMetrics`. It knows nothing about GPUs.

mod client;
mod response;

pub use client::{Client, ClientError, Credentials, Endpoint};
pub use response::Series;
