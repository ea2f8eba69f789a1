//! What GPUs did over a time, who held them, what it cost, and what would cost less.
//!
//! Pure: [`question`] says what to ask Prometheus, [`Readings`] takes the answers, [`assemble()`] joins them with the cluster, the
//! policies and the prices into a [`Report`]. Time is an argument.
//!
//! The rule above all others is not to blame the wrong one. A value that belongs to a whole device is never called a pod's; what is
//! not known is left out of the sums, and named in [`Report::unseen`].

pub mod advice;
pub mod assemble;
pub mod dcgm;
pub mod device;
pub mod holding;
pub mod pool;
pub mod price;
pub mod prometheus;
pub mod question;
pub mod readings;
pub mod remedy;
pub mod render;
pub mod report;
pub mod tally;
pub mod trend;
pub mod unseen;
pub mod window;
pub mod workload;

pub use assemble::{Subject, assemble};
pub use price::PriceList;
pub use question::{Asking, Topic, Traits};
pub use readings::{Readings, Series};
pub use report::Report;
pub use window::Window;
