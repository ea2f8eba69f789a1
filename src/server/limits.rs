//! How long a client may take and how much it may send.

use std::fmt;
use std::time::Duration;

use super::route::Role;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(usize);

impl ByteCount {
    pub const fn bytes(count: usize) -> Self {
        ByteCount(count)
    }

    /// Units of 1024 bytes.
    pub const fn kib(count: usize) -> Self {
        ByteCount(count * 1024)
    }

    /// Units of 1024 * 1024 bytes.
    pub const fn mib(count: usize) -> Self {
        ByteCount(count * 1024 * 1024)
    }

    pub const fn get(self) -> usize {
        self.0
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * 1024;
        match self.0 {
            count if count >= MIB && count.is_multiple_of(MIB) => write!(out, "{} MiB", count / MIB),
            count if count >= KIB && count.is_multiple_of(KIB) => write!(out, "{} KiB", count / KIB),
            count => write!(out, "{count} bytes"),
        }
    }
}

/// The limits of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a whole TLS handshake, 5 s. It takes two round trips and a millisecond of CPU.
    pub handshake: Duration,
    /// From the end of the handshake to the end of the first request's head, 10 s: a client that
    /// connects has something to ask. This is the apiserver's default webhook timeout.
    pub first_request: Duration,
    /// From an answer to the end of the next request's head over HTTP/1.1, 120 s. That is above the
    /// 90 s for which kube-apiserver and kube-scheduler keep idle connections, so they close first:
    /// a POST that meets a connection that we are closing is not retried, and its pod is rejected.
    pub idle: Duration,
    /// For a whole body, 10 s: no caller waits longer.
    pub body_read: Duration,
    /// The largest body. See [`Limits::for_role`].
    pub body: ByteCount,
    /// Connections at once, 8,192 (admin: 256). More wait in the kernel until one ends: waiting a
    /// second is better for a client than being refused. An idle TLS connection holds about 28 KiB.
    pub connections: usize,
    /// Requests at once whose head has arrived and whose answer has not been sent, 1,024. Answers
    /// take microseconds, so these are bodies on their way. More are answered with 503 and
    /// Retry-After, which the apiserver honours within its timeout.
    pub in_flight: usize,
    /// All bodies at once, 32 MiB or four of the largest if that is more, so that many large bodies
    /// cannot exhaust memory although each is allowed. Above it: 503 with Retry-After.
    pub in_memory: ByteCount,
}

impl Limits {
    /// The defaults of a role, which differ in the largest body:
    /// * webhook 7 MiB: etcd takes 1.5 MiB for an object, a review holds two, and JSON escapes grow
    ///   them; controller-runtime has the same limit;
    /// * extender 8 MiB: 15,000 node names take less than 1 MiB. Full nodes
    ///   (`nodeCacheCapable: false`) are about 10 KiB each and need more: [`Limits::with_body`];
    /// * admin: clients send no bodies.
    pub fn for_role(role: Role) -> Self {
        let body = match role {
            Role::Webhook => ByteCount::mib(7),
            Role::Extender => ByteCount::mib(8),
            Role::Admin => ByteCount::kib(64),
        };
        let limits = Limits {
            handshake: Duration::from_secs(5),
            first_request: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            body_read: Duration::from_secs(10),
            body,
            connections: if role == Role::Admin { 256 } else { 8192 },
            in_flight: 1024,
            in_memory: ByteCount::mib(32),
        };
        limits.with_body(body)
    }

    /// The same limits with another largest body, and memory for four of them.
    #[must_use]
    pub fn with_body(mut self, body: ByteCount) -> Self {
        self.body = body;
        self.in_memory = self.in_memory.max(ByteCount(body.get().saturating_mul(4)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_divides_them() {
        for (size, shown) in [
            (ByteCount::mib(7), "7 MiB"),
            (ByteCount::kib(7), "7 KiB"),
            (ByteCount::bytes(1025), "1025 bytes"),
            (ByteCount::bytes(0), "0 bytes"),
        ] {
            assert_eq!(size.to_string(), shown);
        }
    }

    #[test]
    fn idle_connections_outlive_the_control_planes_idle_timeout() {
        for role in Role::ALL {
            assert!(Limits::for_role(role).idle > Duration::from_secs(90));
        }
    }

    #[test]
    fn the_memory_limit_grows_with_the_largest_body() {
        let limits = Limits::for_role(Role::Extender).with_body(ByteCount::mib(64));
        assert_eq!(limits.in_memory, ByteCount::mib(256));
    }
}
