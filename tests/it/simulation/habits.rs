//! How runs differ.

use super::dice::Dice;

/// How this run differs from others, in times of a hundred: what is rare in one is common in another.
pub struct Habits {
    /// A watch brings nothing although there is something.
    pub lazy: u64,
    /// A scheduler asks the replica that can not bind.
    pub astray: u64,
    /// A request or an answer about the Lease gets lost.
    pub loses: u64,
    /// The task behind the Lease and the seat gets to run.
    pub busy: u64,
    /// A replica begins to reach the Lease no more, for a while.
    pub cut: u64,
    /// Milliseconds between two moves, at most.
    pub pace: u64,
}

impl Habits {
    pub fn draw(dice: &mut Dice) -> Self {
        Habits {
            lazy: *dice.one_of(&[0, 50, 90]),
            astray: *dice.one_of(&[5, 15, 50]),
            loses: *dice.one_of(&[1, 6, 25]),
            busy: *dice.one_of(&[15, 40, 70]),
            cut: *dice.one_of(&[0, 1, 4]),
            pace: *dice.one_of(&[120, 400, 1400]),
        }
    }
}
