//! GPU utilization over a time window, by the pods that held the GPUs: what it cost, how much was
//! idle, and which kind of sharing would cost less.
//!
//! [`fetch::Fetcher`] sends the PromQL of [`query`] to Prometheus and collects [`Samples`].
//! [`build_report()`] joins them with the cluster, the policies and the prices. Everything except
//! `fetch` and `prometheus` is pure: time is an argument.
//!
//! The most important rule is to blame no pod for another pod's usage. A value of a whole device is
//! never reported as that of one pod. Unknown values are left out of the sums, and
//! [`Report::missing_data`] lists them.

pub mod allocation;
pub mod dcgm;
pub mod device;
pub mod fetch;
pub mod missing_data;
pub mod namespace_action;
pub mod pool;
pub mod price;
pub mod prometheus;
pub mod query;
pub mod recommendation;
pub mod render;
pub mod report;
pub mod report_builder;
pub mod samples;
pub mod timeline;
pub mod usage_sum;
pub mod window;
pub mod workload;

pub use price::PriceList;
pub use query::QueryConfig;
pub use report::Report;
pub use report_builder::{ReportInput, build_report};
pub use samples::Samples;
pub use window::Window;
