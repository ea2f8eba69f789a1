//! Serving, from the first connection to the last.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum_server::Handle;
use tokio::task::JoinHandle;

use super::drain::{DrainTimes, Draining};
use super::endpoints::Endpoints;
use super::listener::Listener;
use super::observer::Observer;
use super::role::Role;
use super::router::router;
use super::site::RequestHandler;
use super::socket::Peer;

/// What closing takes beyond the deadline that connections are given.
const SLACK: Duration = Duration::from_secs(1);

/// Why serving ended other than by being told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A listener stopped by itself.
    #[error("the {role} listener stopped: {reason}", role = role.as_str())]
    Stopped {
        /// Which.
        role: Role,
        /// What it said.
        reason: String,
    },
}

/// A listener that is being served.
struct Serving {
    role: Role,
    handle: Handle<Peer>,
    task: JoinHandle<io::Result<()>>,
}

/// Serves `listeners` until `shutdown` completes, then drains and returns:
/// 1. `/readyz` says 503 at once, and answers over HTTP/1.1 ask clients to connect anew for their next request;
/// 2. for `times.delay`, requests and connections are taken as before;
/// 3. the webhook and the extender take no more connections; what is being answered has until `times.deadline`;
/// 4. the admin listener, which was watched meanwhile, closes last.
///
/// Dropping the future closes everything at once.
pub async fn run(
    listeners: Vec<Listener>,
    endpoints: Arc<dyn Endpoints>,
    observer: Arc<dyn Observer>,
    times: DrainTimes,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let draining = Draining::default();
    let start = |listener: Listener| {
        let (role, limits) = (listener.role(), *listener.limits());
        let site = RequestHandler::new(
            role,
            limits,
            Arc::clone(&endpoints),
            Arc::clone(&observer),
            draining.clone(),
        );
        Serving::start(listener, site, Arc::clone(&observer))
    };
    let (mut admin, mut rest): (Vec<_>, Vec<_>) = listeners
        .into_iter()
        .map(start)
        .partition(|serving| serving.role == Role::Admin);
    tokio::select! {
        () = shutdown => {}
        stopped = first_to_stop(&mut rest, &mut admin) => return Err(stopped),
    }
    draining.begin();
    let DrainTimes { delay, deadline } = times;
    tracing::info!(?delay, ?deadline, "shutting down: not ready any more, still serving");
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        stopped = first_to_stop(&mut rest, &mut admin) => return Err(stopped),
    }
    close(rest, deadline).await;
    close(admin, SLACK).await;
    tracing::info!("shut down");
    Ok(())
}

impl Serving {
    fn start(listener: Listener, site: RequestHandler, observer: Arc<dyn Observer>) -> Self {
        let (role, handle) = (listener.role(), Handle::new());
        tracing::info!(listener = role.as_str(), address = %listener.local_addr(), "serving");
        let serve = listener.serve(router(Arc::new(site)), observer, handle.clone());
        let task = if role == Role::Extender {
            tokio::spawn(on_a_thread_of_its_own(role, serve))
        } else {
            tokio::spawn(serve)
        };
        Serving { role, handle, task }
    }
}

/// Runs `serve` on a thread that does nothing else, to its end.
///
/// A scheduler asks one thing after the other, and all pods wait meanwhile: nothing is won by more threads, which only wake each other up, and
/// nothing that takes the other threads' time - a page of a list, a burst of pods - may hold it up.
async fn on_a_thread_of_its_own(
    role: Role,
    serve: impl Future<Output = io::Result<()>> + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(role.as_str().to_owned())
        .spawn(move || ended.send(runtime.block_on(serve)))?;
    end.await
        .unwrap_or_else(|_| Err(io::Error::other("its thread ended by a panic")))
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// Listeners stop only when told to. Should one stop otherwise, the process had better end and be started again than
/// look alive with a part of it gone.
async fn first_to_stop(rest: &mut [Serving], admin: &mut [Serving]) -> RunError {
    poll_fn(|cx| {
        for serving in rest.iter_mut().chain(admin.iter_mut()) {
            if let Poll::Ready(ended) = Pin::new(&mut serving.task).poll(cx) {
                let reason = match ended {
                    Ok(Ok(())) => "without a reason".to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    Err(panic) => panic.to_string(),
                };
                return Poll::Ready(RunError::Stopped {
                    role: serving.role,
                    reason,
                });
            }
        }
        Poll::Pending
    })
    .await
}

async fn close(servings: Vec<Serving>, deadline: Duration) {
    for serving in &servings {
        serving.handle.graceful_shutdown(Some(deadline));
    }
    let end = tokio::time::Instant::now() + deadline + SLACK;
    for mut serving in servings {
        if tokio::time::timeout_at(end, &mut serving.task).await.is_err() {
            tracing::warn!(listener = serving.role.as_str(), "closed with connections still open");
        }
    }
}
