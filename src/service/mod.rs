//! The running service: its current state, and the answers that it gives from that.
//!
//! A [`State`] never changes; a reload replaces it as a whole. Requests take the current one and
//! call pure functions.

pub mod app;
pub mod bind;
pub mod evict;
pub mod handlers;
pub mod logging;
pub mod metrics;
pub mod reload;
pub mod state;
pub mod state_metrics;

pub use app::{App, Clock, Settings};
pub use handlers::Handlers;
pub use metrics::Metrics;
pub use state::{PodViolation, State, Violations};
