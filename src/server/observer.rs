//! What a listener tells whoever counts.

use std::time::Duration;

use super::role::Role;
use super::route::Route;

/// Hears of what happens on the listeners. Calls are made on the threads that serve, so they must be short. Every
/// method has a default that ignores it: `()` counts nothing.
pub trait Observer: Send + Sync + 'static {
    /// A request was answered, `took` after its head was read. No route: it asked for what is not served here.
    fn answered(&self, role: Role, route: Option<Route>, status: u16, took: Duration) {
        let _ = (role, route, status, took);
    }

    /// A handler panicked; the request was answered with 500.
    fn panicked(&self, route: Route) {
        let _ = route;
    }

    /// A connection came to nothing: its TLS handshake failed or took too long.
    fn handshake_failed(&self, role: Role) {
        let _ = role;
    }
}

impl Observer for () {}
