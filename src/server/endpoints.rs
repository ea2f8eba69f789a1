//! What the listeners call: [`Endpoints`] for answers, [`Observer`] for metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::future::BoxFuture;

use super::route::{Role, Route};

/// The service behind the listeners.
///
/// Synchronous calls take microseconds and never block, so they run on the thread that read the
/// request. Filter and bind calls may wait, for a watch to catch up or for the API server.
pub trait Endpoints: Send + Sync + 'static {
    /// `POST /mutate`: an `AdmissionReview`.
    fn mutate(&self, body: &[u8]) -> Answer;
    /// `POST /filter`: `ExtenderArgs`.
    fn filter(self: Arc<Self>, body: Bytes) -> BoxFuture<'static, Answer>;
    /// `POST /prioritize`: `ExtenderArgs`.
    fn prioritize(&self, body: &[u8]) -> Answer;
    /// `POST /preempt`: `ExtenderPreemptionArgs`.
    fn preempt(&self, body: &[u8]) -> Answer;
    /// `POST /bind`: `ExtenderBindingArgs`.
    fn bind(self: Arc<Self>, body: Bytes) -> BoxFuture<'static, Answer>;
    /// `GET /breaches`: pods that violate their policy.
    fn breaches(&self) -> Answer;
    /// `GET /readyz`.
    fn ready(&self) -> Result<(), NotReady>;
    /// The metrics in `OpenMetrics` text format.
    fn metrics(&self) -> String;
}

/// Why requests cannot be answered yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// TLS handshakes fail until there is one.
    #[error("there is no certificate yet that callers trust")]
    NoCertificate,
    /// Neither a cluster file nor a watch has brought anything.
    #[error("the cluster has not been read yet")]
    NoCluster,
    /// The resources whose first list is missing, each with the error of its watch if there is one.
    #[error("waiting for the first list of {0}")]
    Unlisted(String),
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// JSON for 200, else a sentence in plain text.
    pub body: Vec<u8>,
}

impl Answer {
    /// 200 with a JSON body.
    pub fn json(body: Vec<u8>) -> Self {
        Answer { status: 200, body }
    }

    /// An error status with a sentence in plain text.
    pub fn refusal(status: u16, reason: impl Into<String>) -> Self {
        Answer {
            status,
            body: reason.into().into_bytes(),
        }
    }
}

/// Is told what happens on the listeners. Calls run on the threads that serve, so they must be
/// short. Every method ignores its call by default, so `()` observes nothing.
pub trait Observer: Send + Sync + 'static {
    /// A request was answered, `took` after its head was read. `route` is `None` for a path or
    /// method that the listener does not serve.
    fn answered(&self, role: Role, route: Option<Route>, status: u16, took: Duration) {
        let _ = (role, route, status, took);
    }

    /// A handler panicked, and the request was answered with 500.
    fn panicked(&self, route: Route) {
        let _ = route;
    }

    /// A TLS handshake failed or timed out.
    fn handshake_failed(&self, role: Role) {
        let _ = role;
    }
}

impl Observer for () {}
