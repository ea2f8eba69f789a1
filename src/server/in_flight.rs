//! How many requests and how many bytes of bodies a listener holds, and when that is too much.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::limits::{ByteCount, Limits};

/// Counts requests between their head and their answer, and the bytes of their bodies.
///
/// Two counters rather than a queue: what exceeds a limit is refused at once, and the client, which
/// knows its own deadline, retries.
#[derive(Debug)]
pub(super) struct InFlight {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    max_requests: usize,
    max_bytes: usize,
}

/// One request's share of the counters, given back on drop.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    in_flight: &'a InFlight,
    bytes: usize,
}

impl InFlight {
    pub(super) fn new(limits: &Limits) -> Self {
        InFlight {
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_requests: limits.in_flight,
            max_bytes: limits.in_memory.get(),
        }
    }

    /// Admits a request unless there are too many.
    pub(super) fn acquire(&self) -> Option<Permit<'_>> {
        // Relaxed: the counters guard no other memory, and one request too many for an instant does
        // no harm.
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let permit = Permit {
            in_flight: self,
            bytes: 0,
        };
        (before < self.max_requests).then_some(permit)
    }
}

impl Permit<'_> {
    /// Counts more of this request's body. False when all bodies together exceed the limit.
    pub(super) fn grow(&mut self, by: ByteCount) -> bool {
        let before = self.in_flight.bytes.fetch_add(by.get(), Ordering::Relaxed);
        self.bytes += by.get();
        before + by.get() <= self.in_flight.max_bytes
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.in_flight.requests.fetch_sub(1, Ordering::Relaxed);
        self.in_flight.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::route::Role;

    #[test]
    fn refused_and_finished_requests_do_not_count() {
        let limits = Limits {
            in_flight: 2,
            in_memory: ByteCount::bytes(10),
            ..Limits::for_role(Role::Webhook)
        };
        let in_flight = InFlight::new(&limits);
        let mut first = in_flight.acquire().unwrap();
        let mut second = in_flight.acquire().unwrap();
        assert!(in_flight.acquire().is_none());
        assert!(in_flight.acquire().is_none());
        assert!(first.grow(ByteCount::bytes(6)));
        assert!(!second.grow(ByteCount::bytes(6)));
        drop(second);
        assert!(first.grow(ByteCount::bytes(4)));
        let mut third = in_flight.acquire().unwrap();
        assert!(!third.grow(ByteCount::bytes(1)));
        drop((first, third));
        assert_eq!((in_flight.requests.into_inner(), in_flight.bytes.into_inner()), (0, 0));
    }
}
