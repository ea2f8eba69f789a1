//! Listeners, limits and drain: everything between a socket and an answer.

pub mod endpoints;
