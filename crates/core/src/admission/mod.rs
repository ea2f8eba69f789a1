//! The webhook's answer to an `AdmissionReview`: bytes in, bytes out, nothing else.

pub mod admit;
mod answer;
mod change;
mod judge;
pub mod outcome;
pub mod response;
pub mod review;
mod traps;
mod workload;

pub use admit::admit;
pub use outcome::{Admission, Context, Outcome};
pub use review::{Request, ReviewError};
