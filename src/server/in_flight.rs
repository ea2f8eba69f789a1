//! How much a listener has taken on at this moment, and when it is too much.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::limits::{ByteCount, Limits};

/// Counts requests between their head and their answer, and the bytes of their bodies. Two counters rather than a
/// queue: what cannot be taken at once is refused at once, and the client, which knows its own deadline, tries again.
#[derive(Debug)]
pub(super) struct Load {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    most_requests: usize,
    most_bytes: usize,
}

/// A request's part of the load, given back when it goes.
#[derive(Debug)]
pub(super) struct Share<'a> {
    load: &'a Load,
    bytes: usize,
}

impl Load {
    pub(super) fn new(limits: &Limits) -> Self {
        Load {
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most_requests: limits.in_flight,
            most_bytes: limits.in_memory.get(),
        }
    }

    /// Takes on a request, unless there are too many.
    pub(super) fn take(&self) -> Option<Share<'_>> {
        // Relaxed: the counters guard no other memory, and one request too many for an instant does no harm.
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let share = Share { load: self, bytes: 0 };
        (before < self.most_requests).then_some(share)
    }
}

impl Share<'_> {
    /// Takes on more of this request's body. False when all bodies together would be too much.
    pub(super) fn grow(&mut self, by: ByteCount) -> bool {
        let before = self.load.bytes.fetch_add(by.get(), Ordering::Relaxed);
        self.bytes += by.get();
        before + by.get() <= self.load.most_bytes
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.load.requests.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::role::Role;

    #[test]
    fn what_is_refused_or_done_no_longer_counts() {
        let limits = Limits {
            in_flight: 2,
            in_memory: ByteCount::bytes(10),
            ..Limits::for_role(Role::Webhook)
        };
        let load = Load::new(&limits);
        let mut first = load.take().unwrap();
        let mut second = load.take().unwrap();
        assert!(load.take().is_none());
        assert!(load.take().is_none());
        assert!(first.grow(ByteCount::bytes(6)));
        assert!(!second.grow(ByteCount::bytes(6)));
        drop(second);
        assert!(first.grow(ByteCount::bytes(4)));
        let mut third = load.take().unwrap();
        assert!(!third.grow(ByteCount::bytes(1)));
        drop((first, third));
        assert_eq!((load.requests.into_inner(), load.bytes.into_inner()), (0, 0));
    }
}
