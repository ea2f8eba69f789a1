//! The running service: what it knows at this moment, and the answers that it gives from that.
//!
//! [`State`] is whole and never changes; a reload puts another in its place. Requests take the one that is there and call pure
//! functions.

pub mod app;
pub mod bind;
pub mod clock;
pub mod evict;
pub mod metrics;
pub mod reload;
pub mod state;
pub mod stock_metrics;
pub mod telemetry;
pub mod violations;

pub use app::{App, Settings};
pub use clock::Clock;
pub use metrics::Metrics;
pub use state::State;
pub use violations::{PodViolation, Violations};
