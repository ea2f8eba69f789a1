//! What happened in the runs.

/// The number of events in all runs.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    pub bound: u64,
    pub refused: u64,
    /// Calls whose answer did not arrive in time.
    pub lost: u64,
    pub crashes: u64,
    pub terms: u64,
    /// Terms that a replica resumed, because the Lease had its name.
    pub resumed: u64,
    /// Leases that were released because another replica asked.
    pub handed_over: u64,
    /// Writes of the Lease that were applied but not answered.
    pub unheard: u64,
    /// Bindings that were applied after their sender had crashed.
    pub orphaned: u64,
    /// Bindings that arrived twice.
    pub doubled: u64,
    /// Pods that fit nowhere in the end.
    pub waiting: u64,
}

impl Statistics {
    pub fn add(&mut self, other: &Statistics) {
        for (sum, count) in self.counts().into_iter().zip(other.clone().counts()) {
            *sum += *count;
        }
    }

    /// Whether every kind of event happened often enough.
    pub fn covers_everything(&self) -> bool {
        self.clone().counts().into_iter().all(|count| *count > 20)
    }

    fn counts(&mut self) -> [&mut u64; 11] {
        [
            &mut self.bound,
            &mut self.refused,
            &mut self.lost,
            &mut self.crashes,
            &mut self.terms,
            &mut self.resumed,
            &mut self.handed_over,
            &mut self.unheard,
            &mut self.orphaned,
            &mut self.doubled,
            &mut self.waiting,
        ]
    }
}
