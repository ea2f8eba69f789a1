//! The webhook's answer to an `AdmissionReview`: bytes in, bytes out, nothing else.

pub mod admit;
mod answer;
mod change;
mod judge;
pub mod outcome;
mod quota_warnings;
pub mod response;
pub mod review;
mod workload;

pub use admit::admit;
pub use outcome::{Admission, AdmissionContext, AdmissionOutcome};
pub use review::{Request, ReviewError};
