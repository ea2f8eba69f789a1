//! What was seen.

/// What happened in all runs together.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub bound: u64,
    pub refused: u64,
    /// Calls that nobody heard the answer of in time.
    pub lost: u64,
    pub crashes: u64,
    pub terms: u64,
    /// Terms that were found in a replica's own name.
    pub resumed: u64,
    /// Leases that were given up because another replica asked for them.
    pub handed_over: u64,
    /// Writes of the Lease that were applied, and nobody heard so.
    pub unheard: u64,
    /// Bindings that came after their sender had crashed.
    pub orphaned: u64,
    /// Bindings that arrived twice.
    pub doubled: u64,
    /// Pods that found no place in the end.
    pub waiting: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        for (sum, count) in self.counts().into_iter().zip(other.clone().counts()) {
            *sum += *count;
        }
    }

    /// Whether of everything there was something.
    pub fn is_rich(&self) -> bool {
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
