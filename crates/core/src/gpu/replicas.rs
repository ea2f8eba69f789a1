//! What the device plugin refuses: numbers and words of its own checks.

use apportion_mig::product::{Product, ProductPattern};

/// The fewest shares (k8s-device-plugin `api/config/v1/replicas.go`).
pub const FEWEST_REPLICAS: i64 = 2;
/// The most shares of a GPU under MPS, compute capability 7.5 and newer (`cmd/mps-control-daemon/mps/device.go`).
pub const MOST_MPS_REPLICAS: i64 = 48;
/// The same before. The check is named for Volta and asks for 7.5, so it holds Volta's 7.0 among these; a test of NVIDIA's pins it.
pub const MOST_MPS_REPLICAS_BEFORE_TURING: i64 = 16;

/// Words of products before compute capability 7.5.
const BEFORE_TURING: &[&str] = &[
    "V100", "V100S", "GV100", "P100", "P40", "P4", "P6", "M60", "M40", "M10", "M6", "M4", "K80", "K40",
];

/// Whether a product is older than compute capability 7.5.
pub fn is_before_turing(product: &Product) -> bool {
    BEFORE_TURING
        .iter()
        .any(|word| ProductPattern::parse(word).is_ok_and(|pattern| pattern.matches(product)))
}

/// The most shares that the MPS daemon takes on a product.
pub fn most_mps_replicas(product: &Product) -> i64 {
    if is_before_turing(product) {
        MOST_MPS_REPLICAS_BEFORE_TURING
    } else {
        MOST_MPS_REPLICAS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volta_counts_as_old() {
        for (product, most) in [
            ("V100", 16),
            ("Tesla-V100-SXM2-16GB", 16),
            ("Tesla-P4", 16),
            ("T4", 48),
            ("NVIDIA-A100-SXM4-80GB", 48),
            ("L4", 48),
        ] {
            assert_eq!(most_mps_replicas(&product.into()), most, "{product}");
        }
    }
}
