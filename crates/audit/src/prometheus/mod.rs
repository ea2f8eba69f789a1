//! Questions to a Prometheus server, or to what speaks its HTTP API: Thanos, Mimir, `VictoriaMetrics`.

pub mod answer;
pub mod client;

pub use client::{Client, ClientError, Endpoint, Login, causes};
