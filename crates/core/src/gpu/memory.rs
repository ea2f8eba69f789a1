//! GPU memory that a pod declares as a Kubernetes quantity.

use apportion_mig::MiB;

use crate::k8s::quantity::{Quantity, QuantityError};

/// Parses a quantity of bytes, rounded up to the next mebibyte so that a need is never understated.
pub fn parse_memory(text: &str) -> Result<MiB, QuantityError> {
    let bytes = text.parse::<Quantity>()?.to_units_rounded_up();
    if bytes < 0 {
        return Err(QuantityError::NotWhole(text.to_owned()));
    }
    let mib = (bytes + (1 << 20) - 1) >> 20;
    u64::try_from(mib)
        .map(MiB)
        .map_err(|_| QuantityError::TooLarge(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_up_and_print_in_the_largest_unit() {
        for (text, mib, shown) in [
            ("8Gi", 8192, "8Gi"),
            ("1", 1, "1Mi"),
            ("1G", 954, "954Mi"),
            ("0", 0, "0Mi"),
            ("1500Mi", 1500, "1500Mi"),
        ] {
            let memory = parse_memory(text).unwrap();
            assert_eq!((memory, memory.to_string().as_str()), (MiB(mib), shown), "{text}");
        }
        assert!(parse_memory("-1").is_err());
        assert!(parse_memory("8 Gi").is_err());
    }
}
