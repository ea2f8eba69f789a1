//! The ways to share a GPU.

use std::fmt;
use std::str::FromStr;

/// How an offer's GPUs are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// Whole GPUs that nobody else touches.
    Exclusive,
    /// Hardware partitions with memory and compute of their own.
    Mig,
    /// Shares under a CUDA MPS daemon: together on the GPU, with memory limits, without fault isolation.
    Mps,
    /// Replicas that take turns, without any limit between them.
    TimeSlicing,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Strategy; 4] = [Strategy::Exclusive, Strategy::Mig, Strategy::Mps, Strategy::TimeSlicing];

    /// The name in policies, labels and metrics; the last two are the device plugin's own
    /// (`api/config/v1/consts.go`).
    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::Exclusive => "exclusive",
            Strategy::Mig => "mig",
            Strategy::Mps => "mps",
            Strategy::TimeSlicing => "time-slicing",
        }
    }
}

/// A strategy's name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a strategy; use exclusive, mig, mps or time-slicing")]
pub struct UnknownStrategy(pub String);

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Strategy::ALL
            .into_iter()
            .find(|strategy| strategy.as_str() == name)
            .ok_or_else(|| UnknownStrategy(name.to_owned()))
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.as_str().parse(), Ok(strategy));
        }
        assert!("timeslicing".parse::<Strategy>().is_err());
    }
}
