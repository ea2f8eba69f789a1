//! Going away without a request lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a server goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainTimes {
    /// For how long requests are still taken after the signal, 10 s. The signal and the news that this endpoint is gone
    /// reach the cluster at the same time; until every proxy has heard it, requests keep coming.
    pub delay: Duration,
    /// For how long after that requests being answered may go on, 15 s: longer than any client waits, and with the
    /// delay below Kubernetes' own 30 s.
    pub deadline: Duration,
}

impl Default for DrainTimes {
    fn default() -> Self {
        DrainTimes {
            delay: Duration::from_secs(10),
            deadline: Duration::from_secs(15),
        }
    }
}

/// Whether the server is going away. While it is, every answer over HTTP/1.1 asks its client to connect anew for the
/// next request: an apiserver keeps using its idle connections to a pod that is no endpoint any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Draining(Arc<AtomicBool>);

impl Draining {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
