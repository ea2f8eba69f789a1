//! Amounts of GPU memory.

use std::fmt;
use std::str::FromStr;

use crate::object::quantity::{Quantity, QuantityError};

/// Mebibytes (2^20 bytes): the unit of NVIDIA's labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MiB(pub u64);

impl MiB {
    /// Reads a quantity of bytes, rounded up to the next mebibyte: a need is never understated.
    pub fn from_bytes_quantity(text: &str) -> Result<Self, QuantityError> {
        let bytes = text.parse::<Quantity>()?.to_units_rounded_up();
        if bytes < 0 {
            return Err(QuantityError::NotWhole(text.to_owned()));
        }
        let mib = (bytes + (1 << 20) - 1) >> 20;
        u64::try_from(mib)
            .map(MiB)
            .map_err(|_| QuantityError::TooLarge(text.to_owned()))
    }

    /// The share of each of `replicas`, rounded down as the MPS control daemon does
    /// (`cmd/mps-control-daemon/mps/daemon.go`).
    #[must_use]
    pub fn split(self, replicas: u64) -> MiB {
        MiB(self.0.checked_div(replicas).unwrap_or(self.0))
    }
}

/// Reads a label's value, a bare number of MiB.
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
    fn bytes_are_rounded_up_and_shown_short() {
        for (text, mib, shown) in [
            ("8Gi", 8192, "8Gi"),
            ("1", 1, "1Mi"),
            ("1G", 954, "954Mi"),
            ("0", 0, "0Mi"),
            ("1500Mi", 1500, "1500Mi"),
        ] {
            let memory = MiB::from_bytes_quantity(text).unwrap();
            assert_eq!((memory, memory.to_string().as_str()), (MiB(mib), shown), "{text}");
        }
        assert!(MiB::from_bytes_quantity("-1").is_err());
        assert!(MiB::from_bytes_quantity("8 Gi").is_err());
    }

    #[test]
    fn a_t4_in_four_gives_3840_mib() {
        assert_eq!(MiB(15360).split(4), MiB(3840));
        assert_eq!(MiB(15360).split(0), MiB(15360));
    }
}
