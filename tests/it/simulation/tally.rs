//! What was seen.

/// What happened in all runs together.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub bound: u64,
    pub refused: u64,
    pub lost: u64,
    pub crashes: u64,
    pub terms: u64,
    pub waiting: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.bound += other.bound;
        self.refused += other.refused;
        self.lost += other.lost;
        self.crashes += other.crashes;
        self.terms += other.terms;
        self.waiting += other.waiting;
    }

    pub fn is_rich(&self) -> bool {
        [
            self.bound,
            self.refused,
            self.lost,
            self.crashes,
            self.terms,
            self.waiting,
        ]
        .iter()
        .all(|count| *count > 50)
    }
}
