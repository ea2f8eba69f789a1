//! Amounts of GPU memory.

use std::fmt;
use std::str::FromStr;

/// Mebibytes (2^20 bytes): the unit of NVIDIA's labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MiB(pub u64);

impl MiB {
    /// The share of each of `replicas`, rounded down as the MPS control daemon does
    /// (k8s-device-plugin `cmd/mps-control-daemon/mps/daemon.go`). Zero replicas change nothing.
    #[must_use]
    pub fn split(self, replicas: u64) -> MiB {
        MiB(self.0.checked_div(replicas).unwrap_or(self.0))
    }
}

/// Reads the value of a `nvidia.com/gpu.memory` label: a bare number of MiB.
impl FromStr for MiB {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(MiB)
    }
}

impl fmt::Display for MiB {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1024 && self.0.is_multiple_of(1024) {
            write!(f, "{}Gi", self.0 / 1024)
        } else {
            write!(f, "{}Mi", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_divides_memory_among_replicas() {
        assert_eq!(MiB(15360).split(4), MiB(3840));
        assert_eq!(MiB(15360).split(0), MiB(15360));
    }
}
