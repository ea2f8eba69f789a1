//! What the listeners call: bytes in, an answer out.

use std::sync::Arc;

use axum::body::Bytes;
use futures::future::BoxFuture;

/// The job behind the listeners. Calls are short and never wait, so they run on the thread that read the request; a binding alone
/// waits, for the API server.
pub trait Endpoints: Send + Sync + 'static {
    /// `POST /mutate`: an `AdmissionReview`.
    fn mutate(&self, body: &[u8]) -> Answer;
    /// `POST /filter`: `ExtenderArgs`.
    fn filter(&self, body: &[u8]) -> Answer;
    /// The same, or nothing where what is known is seen to lag behind the question: it had better be asked again in a moment.
    fn filter_unless_behind(&self, body: &[u8]) -> Option<Answer> {
        Some(self.filter(body))
    }
    /// `POST /prioritize`: `ExtenderArgs`.
    fn prioritize(&self, body: &[u8]) -> Answer;
    /// `POST /preempt`: `ExtenderPreemptionArgs`.
    fn preempt(&self, body: &[u8]) -> Answer;
    /// `POST /bind`: `ExtenderBindingArgs`.
    fn bind(self: Arc<Self>, body: Bytes) -> BoxFuture<'static, Answer>;
    /// `GET /breaches`: pods that break their policy.
    fn breaches(&self) -> Answer;
    /// Whether requests can be answered rightly; else why not yet.
    fn ready(&self) -> Result<(), String>;
    /// The metrics in `OpenMetrics` text format.
    fn metrics(&self) -> String;
}

/// An answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// JSON for 200, else a sentence for a person.
    pub body: Vec<u8>,
}

impl Answer {
    /// 200 with a JSON body.
    pub fn json(body: Vec<u8>) -> Self {
        Answer { status: 200, body }
    }

    /// A refusal of the request itself, as a sentence.
    pub fn refusal(status: u16, reason: impl Into<String>) -> Self {
        Answer {
            status,
            body: reason.into().into_bytes(),
        }
    }
}
