//! Handles the requests of one listener: routes them, reads their bodies, calls the endpoints and
//! tells the observer.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode, Version};
use axum::routing::on;
use futures::FutureExt as _;
use tokio::runtime::Handle;

use super::body;
use super::endpoints::{Endpoints, Observer};
use super::in_flight::InFlight;
use super::limits::Limits;
use super::reply::Reply;
use super::route::{Role, Route};

/// Whether the server is shutting down. While it is, every answer over HTTP/1.1 closes its
/// connection: an apiserver keeps using idle connections to a pod that is no longer an endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Draining(Arc<AtomicBool>);

impl Draining {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Shared by the connections of one listener.
pub(super) struct RequestHandler {
    role: Role,
    limits: Limits,
    in_flight: InFlight,
    endpoints: Arc<dyn Endpoints>,
    observer: Arc<dyn Observer>,
    draining: Draining,
    /// Runs work that must outlive its connection, whichever runtime serves the listener.
    background: Handle,
}

impl RequestHandler {
    /// Call it inside a tokio runtime that lives as long as the process.
    pub(super) fn new(
        role: Role,
        limits: Limits,
        endpoints: Arc<dyn Endpoints>,
        observer: Arc<dyn Observer>,
        draining: Draining,
    ) -> Self {
        RequestHandler {
            role,
            limits,
            in_flight: InFlight::new(&limits),
            endpoints,
            observer,
            draining,
            background: Handle::current(),
        }
    }

    /// A router without middleware: each layer would box every request's future once more, and
    /// limits, panics, metrics and drain are plain code here.
    pub(super) fn into_router(self) -> Router {
        let handler = Arc::new(self);
        let mut router = Router::new();
        for &route in handler.role.routes() {
            let answering = Arc::clone(&handler);
            let answer = move |request: Request<Body>| async move { answering.answer(route, request).await };
            router = router.route(route.path(), on(route.method(), answer));
        }
        let refusing = Arc::clone(&handler);
        router
            .method_not_allowed_fallback(move |request: Request<Body>| async move {
                refusing.refuse(StatusCode::METHOD_NOT_ALLOWED, request)
            })
            .fallback(move |request: Request<Body>| async move { handler.refuse(StatusCode::NOT_FOUND, request) })
    }

    async fn answer(&self, route: Route, request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let version = request.version();
        let reply = if route.takes_body() {
            self.post(route, request.into_body()).await
        } else {
            self.catch_panic(route, async { self.get(route) }).await
        };
        self.respond(Some(route), reply, version, started)
    }

    /// Answers a request for another path (404) or method (405).
    fn refuse(&self, status: StatusCode, request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        body::drain_body(body);
        let served: Vec<String> = self.role.routes().iter().map(|route| route.summary()).collect();
        let (listener, served) = (self.role.as_str(), served.join(", "));
        let sentence = format!(
            "{} {} is not served: this is the {listener} listener, for {served}\n",
            head.method,
            head.uri.path()
        );
        self.respond(None, Reply::text(status, sentence), head.version, started)
    }

    async fn post(&self, route: Route, mut body: Body) -> Reply {
        let Some(mut permit) = self.in_flight.acquire() else {
            body::drain_body(body);
            return Reply::overloaded("too many requests at once; try again");
        };
        match body::read(&mut body, &self.limits, &mut permit).await {
            Ok(bytes) => self.catch_panic(route, self.call(route, bytes)).await,
            Err(error) => {
                body::drain_body(body);
                error.into()
            }
        }
    }

    async fn call(&self, route: Route, bytes: Bytes) -> Reply {
        match route {
            Route::Mutate => self.endpoints.mutate(&bytes).into(),
            Route::Filter => Arc::clone(&self.endpoints).filter(bytes).await.into(),
            Route::Prioritize => self.endpoints.prioritize(&bytes).into(),
            Route::Preempt => self.endpoints.preempt(&bytes).into(),
            Route::Bind => self.bind(bytes).await,
            Route::Livez | Route::Readyz | Route::Metrics | Route::Breaches => self.get(route),
        }
    }

    /// Runs in a task of its own, to its end: a scheduler that disconnects must not leave a binding
    /// half done.
    async fn bind(&self, bytes: Bytes) -> Reply {
        let task = self.background.spawn(Arc::clone(&self.endpoints).bind(bytes));
        match task.await {
            Ok(answer) => answer.into(),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Reply::text(StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
            },
        }
    }

    fn get(&self, route: Route) -> Reply {
        match route {
            Route::Metrics => Reply::metrics(self.endpoints.metrics()),
            Route::Breaches => self.endpoints.breaches().into(),
            Route::Readyz if self.draining.has_begun() => Reply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting down: send requests to another replica",
            ),
            Route::Readyz => match self.endpoints.ready() {
                Ok(()) => Reply::text(StatusCode::OK, "ok"),
                Err(reason) => Reply::text(StatusCode::SERVICE_UNAVAILABLE, reason.to_string()),
            },
            _ => Reply::text(StatusCode::OK, "ok"),
        }
    }

    /// A panic costs only the request that caused it. Handlers do not change shared state in
    /// several steps, so it stays consistent after a panic (hence `AssertUnwindSafe`).
    async fn catch_panic(&self, route: Route, reply: impl Future<Output = Reply>) -> Reply {
        AssertUnwindSafe(reply).catch_unwind().await.unwrap_or_else(|panic| {
            tracing::error!(
                route = route.as_str(),
                panic = panic_message(panic.as_ref()),
                "a handler panicked; the request was answered with 500"
            );
            self.observer.panicked(route);
            Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error; see the log")
        })
    }

    fn respond(&self, route: Option<Route>, reply: Reply, version: Version, started: Instant) -> Response<Body> {
        self.observer
            .answered(self.role, route, reply.status().as_u16(), started.elapsed());
        // HTTP/2 has no such header; its connections get GOAWAY when the listener closes.
        reply.into_response(version <= Version::HTTP_11 && self.draining.has_begun())
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(message) => message,
        None => panic.downcast_ref::<&str>().copied().unwrap_or("without a message"),
    }
}
