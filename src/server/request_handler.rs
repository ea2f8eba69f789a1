//! What stands behind one listener: it takes a request, has it answered, and tells the observer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode, Version};

use tokio::runtime::Handle;

use super::body;
use super::drain::Draining;
use super::endpoints::Endpoints;
use super::limits::Limits;
use super::load::Load;
use super::observer::Observer;
use super::reply::Reply;
use super::role::Role;
use super::route::Route;

/// How long a watch that is behind is waited for, again and again. All pods of a scheduler wait as long.
const CATCHING_UP: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(80),
    Duration::from_millis(180),
];

/// One listener's part of the server, shared by its connections.
pub(super) struct RequestHandler {
    pub(super) role: Role,
    limits: Limits,
    load: Load,
    endpoints: Arc<dyn Endpoints>,
    observer: Arc<dyn Observer>,
    draining: Draining,
    /// What outlives a connection runs here, whatever runs the listener.
    background: Handle,
}

impl RequestHandler {
    /// To be called inside a tokio runtime that lives as long as the process.
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
            load: Load::new(&limits),
            endpoints,
            observer,
            draining,
            background: Handle::current(),
        }
    }

    /// Answers a request for what is served here.
    pub(super) async fn answer(&self, route: Route, request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let version = request.version();
        let reply = if route.takes_body() {
            self.work(route, request.into_body()).await
        } else {
            self.caught(route, || self.look(route))
        };
        self.respond(Some(route), reply, version, started)
    }

    /// Answers a request for what is not: a path (404) or a method (405).
    pub(super) fn refuse(&self, status: StatusCode, request: Request<Body>) -> Response<Body> {
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

    async fn work(&self, route: Route, mut body: Body) -> Reply {
        let Some(mut share) = self.load.take() else {
            body::drain_body(body);
            return Reply::overloaded("too many requests at one time; try again");
        };
        match body::read(&mut body, &self.limits, &mut share).await {
            Ok(bytes) if route == Route::Bind => self.bind(bytes).await,
            Ok(bytes) if route == Route::Filter => self.filter(&bytes).await,
            Ok(bytes) => self.caught(route, || self.call(route, &bytes)),
            Err(error) => {
                body::drain_body(body);
                error.into()
            }
        }
    }

    fn call(&self, route: Route, bytes: &[u8]) -> Reply {
        match route {
            Route::Mutate => self.endpoints.mutate(bytes).into(),
            Route::Filter => self.endpoints.filter(bytes).into(),
            Route::Prioritize => self.endpoints.prioritize(bytes).into(),
            Route::Preempt => self.endpoints.preempt(bytes).into(),
            Route::Bind | Route::Livez | Route::Readyz | Route::Metrics | Route::Breaches => self.look(route),
        }
    }

    /// Waits a little where what is known lags behind the scheduler: a pod that is told that it has no place is not asked about again
    /// before something else happens in the cluster, which in a quiet one takes minutes.
    async fn filter(&self, bytes: &[u8]) -> Reply {
        for pause in CATCHING_UP {
            let mut answered = true;
            let reply = self.caught(Route::Filter, || {
                let answer = self.endpoints.filter_unless_behind(bytes);
                answered = answer.is_some();
                answer.map_or_else(|| Reply::text(StatusCode::OK, ""), Reply::from)
            });
            if answered {
                return reply;
            }
            tokio::time::sleep(pause).await;
        }
        self.caught(Route::Filter, || self.call(Route::Filter, bytes))
    }

    /// Goes on to its end in a task of its own: a scheduler that hangs up must not leave a binding half done.
    async fn bind(&self, bytes: Bytes) -> Reply {
        let task = self.background.spawn(Arc::clone(&self.endpoints).bind(bytes));
        match task.await {
            Ok(answer) => answer.into(),
            Err(error) => self.caught(Route::Bind, || match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Reply::text(StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
            }),
        }
    }

    fn look(&self, route: Route) -> Reply {
        match route {
            Route::Metrics => Reply::metrics(self.endpoints.metrics()),
            Route::Breaches => self.endpoints.breaches().into(),
            Route::Readyz if self.draining.has_begun() => Reply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting down: send requests to another replica",
            ),
            Route::Readyz => match self.endpoints.ready() {
                Ok(()) => Reply::text(StatusCode::OK, "ok"),
                Err(reason) => Reply::text(StatusCode::SERVICE_UNAVAILABLE, reason),
            },
            _ => Reply::text(StatusCode::OK, "ok"),
        }
    }

    /// A panic is a fault in one request's handling and costs that request alone. Handlers change nothing that outlives
    /// them in steps, so what a panic leaves behind is whole (hence `AssertUnwindSafe`).
    fn caught(&self, route: Route, answer: impl FnOnce() -> Reply) -> Reply {
        catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|panic| {
            tracing::error!(
                route = route.as_str(),
                panic = message(panic.as_ref()),
                "a handler panicked; the request was answered with 500"
            );
            self.observer.panicked(route);
            Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error; the log says more")
        })
    }

    fn respond(&self, route: Option<Route>, reply: Reply, version: Version, started: Instant) -> Response<Body> {
        self.observer
            .answered(self.role, route, reply.status().as_u16(), started.elapsed());
        // HTTP/2 has no such header; its connections are told to go when the listener closes.
        reply.into_response(version <= Version::HTTP_11 && self.draining.has_begun())
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(message) => message,
        None => panic.downcast_ref::<&str>().copied().unwrap_or("without a message"),
    }
}
