//! How runs differ: events that are rare in one run are common in another.
//!
//! With one mix of actions, most orders of events would almost never occur. Each seed draws its own
//! mix: some runs have many delayed requests, others many handovers or restarts.

use super::random::Random;

/// An action of the simulation.
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
    Pause,
}

/// Actions, their default weights, and whether a run may have none of them.
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
    (Action::Pause, 40, true),
];

/// Numbers without a unit are percentages.
pub struct Behavior {
    weights: [u64; ACTIONS.len()],
    /// A watch delivers nothing although events are pending.
    pub lazy: u64,
    /// A scheduler calls the replica that cannot bind.
    pub wrong_replica: u64,
    /// A scheduler chooses a node to which a binding is in flight.
    pub contests: u64,
    /// A request for the Lease or its answer is lost.
    pub loses: u64,
    /// A replica acquires the Lease, but the answer is lost.
    pub lost_acquisitions: u64,
    /// A write of the Lease whose answer is lost was applied.
    pub unheard: u64,
    /// A call or an answer is delayed.
    pub slow: u64,
    /// A call that binds arrives twice, and the replica gets the second answer.
    pub doubled: u64,
    /// A replica crashes as soon as it has a binding in flight.
    pub dies: u64,
    /// A crashed replica has restarted and listed everything before the next event.
    pub quick: u64,
    /// The leader election task runs; 100 means until it has to wait.
    pub busy: u64,
    /// A replica loses access to the Lease for a while.
    pub cut: u64,
    /// Maximum milliseconds between two actions.
    pub pace: u64,
    /// Actions in the run before it settles.
    pub moves: u64,
}

impl Behavior {
    pub fn draw(random: &mut Random) -> Self {
        let weights = ACTIONS.map(|(_, weight, can_be_missed)| {
            let leaning = if can_be_missed { [0, 1, 1, 4] } else { [1, 1, 2, 4] };
            weight * random.one_of(&leaning)
        });
        // A run is shorter than a reservation lasts: a watch that is silent for longer is reported
        // as broken.
        let (moves, pace) = *random.one_of(&[(120, 120), (120, 400), (120, 1400), (400, 200), (400, 400)]);
        Behavior {
            weights,
            lazy: *random.one_of(&[0, 50, 90, 98]),
            wrong_replica: *random.one_of(&[5, 15, 50]),
            contests: *random.one_of(&[0, 50, 90]),
            loses: *random.one_of(&[1, 6, 25]),
            lost_acquisitions: *random.one_of(&[0, 0, 60]),
            unheard: *random.one_of(&[20, 50, 100]),
            slow: *random.one_of(&[12, 50, 85]),
            doubled: *random.one_of(&[0, 0, 10]),
            dies: *random.one_of(&[0, 0, 6, 20]),
            quick: *random.one_of(&[0, 80]),
            busy: *random.one_of(&[15, 60, 100, 100]),
            cut: *random.one_of(&[0, 1, 4]),
            pace,
            moves,
        }
    }

    pub fn action(&self, random: &mut Random) -> Action {
        let mut left = random.below(self.weights.iter().sum());
        for ((action, ..), weight) in ACTIONS.iter().zip(self.weights) {
            if left < weight {
                return *action;
            }
            left -= weight;
        }
        unreachable!("below the sum")
    }
}
