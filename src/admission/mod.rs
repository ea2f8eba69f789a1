//! The webhook's answer to an `AdmissionReview`: bytes in, bytes out, nothing else.

pub mod admit;
pub mod response;
pub mod review;

pub use admit::{Admission, Context, Outcome, admit};
pub use review::{Request, ReviewError};
