//! From a path and a method to what answers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::on;

use super::site::RequestHandler;

/// A router for `site`. No middleware: each layer would box every request's future once more, and all that a layer
/// could do here (limits, panics, counting, drain) is done in [`RequestHandler`] in plain code.
pub(super) fn router(site: Arc<RequestHandler>) -> Router {
    let mut router = Router::new();
    for &route in site.role.routes() {
        let answering = Arc::clone(&site);
        let answer = move |request: Request<Body>| async move { answering.answer(route, request).await };
        router = router.route(route.path(), on(route.method(), answer));
    }
    let refusing = Arc::clone(&site);
    router
        .method_not_allowed_fallback(move |request: Request<Body>| async move {
            refusing.refuse(StatusCode::METHOD_NOT_ALLOWED, request)
        })
        .fallback(move |request: Request<Body>| async move { site.refuse(StatusCode::NOT_FOUND, request) })
}
