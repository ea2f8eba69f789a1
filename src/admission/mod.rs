//! The webhook's answer to an `AdmissionReview`: bytes in, bytes out, nothing else.

pub mod admit;
pub mod response;
pub mod review;
mod traps;
mod workload;

pub use admit::{Admission, Context, Outcome, admit};
pub use review::{Request, ReviewError};

/// The namespace that a request is for.
fn request_of(request: &Request<'_>) -> String {
    request.namespace.as_deref().unwrap_or_default().to_owned()
}
