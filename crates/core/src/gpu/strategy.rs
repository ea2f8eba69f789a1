//! The strategies to share a GPU, and how many shares a GPU can have.

use std::fmt;
use std::str::FromStr;

use apportion_mig::product::{Product, ProductPattern};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// Whole GPUs, not shared.
    Exclusive,
    /// Hardware partitions with their own memory and compute.
    Mig,
    /// Shares under a CUDA MPS daemon: they run concurrently, with memory limits but without fault
    /// isolation.
    Mps,
    /// Replicas that take turns, without memory limits.
    TimeSlicing,
}

impl Strategy {
    pub const ALL: [Strategy; 4] = [Strategy::Exclusive, Strategy::Mig, Strategy::Mps, Strategy::TimeSlicing];

    /// The name in policies, labels and metrics. The device plugin uses the last two
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

/// The device plugin rejects fewer replicas (k8s-device-plugin `api/config/v1/replicas.go`).
pub const MIN_REPLICAS: i64 = 2;
/// The limit of the MPS daemon from compute capability 7.5 on (k8s-device-plugin
/// `cmd/mps-control-daemon/mps/device.go`).
pub const MAX_MPS_REPLICAS: i64 = 48;
/// The limit before compute capability 7.5. NVIDIA's check is named after Volta but compares with
/// 7.5, so this limit also applies to Volta (7.0); a test of NVIDIA's confirms it.
pub const MAX_MPS_REPLICAS_PRE_TURING: i64 = 16;

/// Words in the names of products with a compute capability below 7.5.
const PRE_TURING_PRODUCTS: &[&str] = &[
    "V100", "V100S", "GV100", "P100", "P40", "P4", "P6", "M60", "M40", "M10", "M6", "M4", "K80", "K40",
];

/// Whether the compute capability is below 7.5.
pub fn is_pre_turing(product: &Product) -> bool {
    PRE_TURING_PRODUCTS
        .iter()
        .any(|word| ProductPattern::parse(word).is_ok_and(|pattern| pattern.matches(product)))
}

/// The most replicas of one GPU that the MPS daemon accepts.
pub fn max_mps_replicas(product: &Product) -> i64 {
    if is_pre_turing(product) {
        MAX_MPS_REPLICAS_PRE_TURING
    } else {
        MAX_MPS_REPLICAS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.as_str().parse(), Ok(strategy));
        }
        assert!("timeslicing".parse::<Strategy>().is_err());
    }

    #[test]
    fn mps_replica_limits_depend_on_the_product() {
        for (product, max) in [
            ("V100", 16),
            ("Tesla-V100-SXM2-16GB", 16),
            ("Tesla-P4", 16),
            ("T4", 48),
            ("NVIDIA-A100-SXM4-80GB", 48),
            ("L4", 48),
        ] {
            assert_eq!(max_mps_replicas(&product.into()), max, "{product}");
        }
    }
}
