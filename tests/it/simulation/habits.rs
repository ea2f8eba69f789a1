//! How runs differ: what is rare in one is common in another.
//!
//! One and the same mix of moves would leave most orders of events to chance. Each seed draws its own, so that some runs are all about
//! requests that stay on their way, some about handing over, and some about processes that come back at once.

use super::dice::Dice;

/// What may happen next.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    MakePod,
    Schedule,
    Api,
    Deliver,
    Publish,
    Lease,
    Open,
    EndPod,
    Crash,
    Break,
    ChangePolicies,
    Tick,
    Learn,
    ReconfigurationState,
}

/// How often each happens beside the others, where a run has no leaning; and whether a run may do without.
const ACTIONS: [(Action, u64, bool); 14] = [
    (Action::MakePod, 140, false),
    (Action::Schedule, 260, false),
    (Action::Api, 150, false),
    (Action::Deliver, 100, false),
    (Action::Publish, 70, false),
    (Action::Lease, 100, false),
    (Action::Open, 40, false),
    (Action::EndPod, 120, true),
    (Action::Crash, 10, true),
    (Action::Break, 20, true),
    (Action::ChangePolicies, 3, true),
    (Action::Tick, 10, true),
    (Action::Learn, 10, true),
    (Action::ReconfigurationState, 40, true),
];

/// Numbers without a unit are times of a hundred.
pub struct Habits {
    weights: [u64; ACTIONS.len()],
    /// A watch brings nothing although there is something.
    pub lazy: u64,
    /// A scheduler asks the replica that can not bind.
    pub astray: u64,
    /// A scheduler wants a pod where another is on its way to.
    pub contests: u64,
    /// A request or an answer about the Lease gets lost.
    pub loses: u64,
    /// A replica takes the Lease and does not hear so.
    pub deaf: u64,
    /// Of the writes of the Lease that nobody hears of, those that were applied all the same.
    pub unheard: u64,
    /// A call or an answer stays on its way when it could arrive.
    pub slow: u64,
    /// A call that binds arrives twice, and the answer that is heard is the second.
    pub doubled: u64,
    /// A replica crashes as soon as it has a binding on its way.
    pub dies: u64,
    /// A replica that has crashed is back, with a first list of everything, before anything else happens.
    pub quick: u64,
    /// The task behind the Lease and the seat gets to run; always means until it has to wait for something.
    pub busy: u64,
    /// A replica begins to reach the Lease no more, for a while.
    pub cut: u64,
    /// Milliseconds between two moves, at most.
    pub pace: u64,
    /// Moves in the run, before all comes to rest.
    pub moves: u64,
}

impl Habits {
    pub fn draw(dice: &mut Dice) -> Self {
        let weights = ACTIONS.map(|(_, weight, can_be_missed)| {
            let leaning = if can_be_missed { [0, 1, 1, 4] } else { [1, 1, 2, 4] };
            weight * dice.one_of(&leaning)
        });
        // All of a run takes less than a reservation lasts: whoever's watch is silent for longer has been told that it is broken.
        let (moves, pace) = *dice.one_of(&[(120, 120), (120, 400), (120, 1400), (400, 200), (400, 400)]);
        Habits {
            weights,
            lazy: *dice.one_of(&[0, 50, 90, 98]),
            astray: *dice.one_of(&[5, 15, 50]),
            contests: *dice.one_of(&[0, 50, 90]),
            loses: *dice.one_of(&[1, 6, 25]),
            deaf: *dice.one_of(&[0, 0, 60]),
            unheard: *dice.one_of(&[20, 50, 100]),
            slow: *dice.one_of(&[12, 50, 85]),
            doubled: *dice.one_of(&[0, 0, 10]),
            dies: *dice.one_of(&[0, 0, 6, 20]),
            quick: *dice.one_of(&[0, 80]),
            busy: *dice.one_of(&[15, 60, 100, 100]),
            cut: *dice.one_of(&[0, 1, 4]),
            pace,
            moves,
        }
    }

    pub fn action(&self, dice: &mut Dice) -> Action {
        let mut left = dice.below(self.weights.iter().sum());
        for ((action, ..), weight) in ACTIONS.iter().zip(self.weights) {
            if left < weight {
                return *action;
            }
            left -= weight;
        }
        unreachable!("below the sum")
    }
}
