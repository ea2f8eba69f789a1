//! Listeners, limits and drain: everything between a socket and an answer.
//!
//! Bytes go from a [`listener`] to a `RequestHandler`, which reads the body within [`limits`] and
//! calls [`endpoints`]. Nothing here knows what a pod or a GPU is.

mod body;
mod bounded_listener;
pub mod endpoints;
mod in_flight;
pub mod limits;
pub mod listener;
mod reply;
mod request_handler;
pub mod route;
pub mod run;
