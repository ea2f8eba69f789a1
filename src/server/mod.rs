//! Listeners, limits and drain: everything between a socket and an answer.
//!
//! Bytes go from `socket` through `router` to a `site`, which reads the `body` within [`limits`] and calls
//! [`endpoints`]. Nothing here knows what a pod or a GPU is.

mod body;
pub mod drain;
pub mod endpoints;
pub mod limits;
pub mod listener;
mod load;
pub mod observer;
mod reply;
pub mod role;
pub mod route;
mod router;
pub mod run;
mod site;
mod socket;
mod warning;
