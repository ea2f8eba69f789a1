//! Serving, and shutting down without losing a request.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum_server::Handle;
use tokio::task::JoinHandle;

use super::bounded_listener::Peer;
use super::endpoints::{Endpoints, Observer};
use super::listener::Listener;
use super::request_handler::{Draining, RequestHandler};
use super::route::Role;

/// How long closing may take beyond the deadline of connections.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// How a server shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainTimes {
    /// How long requests are still accepted after the signal, 10 s. The signal and the removal of
    /// this endpoint reach the cluster at the same time, and requests keep coming until every proxy
    /// has seen it.
    pub delay: Duration,
    /// How long requests in flight may then take, 15 s: longer than any client waits, and together
    /// with the delay below Kubernetes' default grace period of 30 s.
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

/// Why serving ended without a shutdown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    #[error("the {role} listener stopped: {reason}", role = role.as_str())]
    Stopped { role: Role, reason: String },
}

struct ServedListener {
    role: Role,
    handle: Handle<Peer>,
    task: JoinHandle<io::Result<()>>,
}

/// Serves `listeners` until `shutdown` completes, then drains and returns:
/// 1. `/readyz` answers 503 at once, and answers over HTTP/1.1 close their connections;
/// 2. for `times.delay`, requests and connections are accepted as before;
/// 3. the webhook and the extender accept no more connections, and requests in flight have
///    `times.deadline` to finish;
/// 4. the admin listener closes last.
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
        let handler = RequestHandler::new(
            role,
            limits,
            Arc::clone(&endpoints),
            Arc::clone(&observer),
            draining.clone(),
        );
        ServedListener::start(listener, handler, Arc::clone(&observer))
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
    tracing::info!(?delay, ?deadline, "shutting down: not ready, still serving");
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        stopped = first_to_stop(&mut rest, &mut admin) => return Err(stopped),
    }
    close(rest, deadline).await;
    close(admin, CLOSE_GRACE).await;
    tracing::info!("shut down");
    Ok(())
}

impl ServedListener {
    fn start(listener: Listener, handler: RequestHandler, observer: Arc<dyn Observer>) -> Self {
        let (role, handle) = (listener.role(), Handle::new());
        tracing::info!(listener = role.as_str(), address = %listener.local_addr(), "serving");
        let serve = listener.serve(handler.into_router(), observer, handle.clone());
        let task = if role == Role::Extender {
            tokio::spawn(on_dedicated_thread(role, serve))
        } else {
            tokio::spawn(serve)
        };
        ServedListener { role, handle, task }
    }
}

/// Runs `serve` to its end on a dedicated thread.
///
/// A scheduler sends one request after the other, and all pods wait for each. More threads gain
/// nothing but wake-ups, and work of the other threads, such as a page of a list or a burst of
/// pods, must not delay an answer.
async fn on_dedicated_thread(
    role: Role,
    serve: impl Future<Output = io::Result<()>> + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(role.as_str().to_owned())
        .spawn(move || ended.send(runtime.block_on(serve)))?;
    end.await
        .unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))
}

impl Drop for ServedListener {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// Listeners stop only at shutdown. If one stops earlier, the process ends and is restarted rather
/// than look alive with a part missing.
async fn first_to_stop(rest: &mut [ServedListener], admin: &mut [ServedListener]) -> RunError {
    poll_fn(|cx| {
        for serving in rest.iter_mut().chain(admin.iter_mut()) {
            if let Poll::Ready(ended) = Pin::new(&mut serving.task).poll(cx) {
                let reason = match ended {
                    Ok(Ok(())) => "no reason given".to_owned(),
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

async fn close(listeners: Vec<ServedListener>, deadline: Duration) {
    for serving in &listeners {
        serving.handle.graceful_shutdown(Some(deadline));
    }
    let end = tokio::time::Instant::now() + deadline + CLOSE_GRACE;
    for mut serving in listeners {
        if tokio::time::timeout_at(end, &mut serving.task).await.is_err() {
            tracing::warn!(
                listener = serving.role.as_str(),
                "closed while connections were still open"
            );
        }
    }
}
