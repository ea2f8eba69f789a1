//! The webhook's answer to an `AdmissionReview`, as a pure function.

pub mod admit;
mod enforcement;
pub mod outcome;
mod pod;
mod quota_warnings;
pub mod response;
pub mod review;
mod workload;

pub use admit::admit;
pub use outcome::{Admission, AdmissionContext, AdmissionOutcome};
pub use review::{Request, ReviewError};
