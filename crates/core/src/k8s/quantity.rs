//! Kubernetes quantities: `2`, `"8Gi"`, `"1e3"`, `"1000m"`.
//!
//! The grammar is that of `k8s.io/apimachinery/pkg/api/resource/quantity.go`. Values are exact to a
//! billionth. Anything finer is rounded up, as in Kubernetes.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};

use crate::diagnostics::excerpt;

const NANO: i128 = 1_000_000_000;

/// Exact to a billionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nanos: i128,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("`{0}` is not a quantity; write a number with an optional suffix, such as 1, 500m, 8Gi or 2e3")]
    Malformed(String),
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// Device counts must be whole numbers.
    #[error("`{0}` must be a whole number that is not negative")]
    NotWhole(String),
}

impl Quantity {
    pub fn from_count(count: u64) -> Self {
        Quantity {
            nanos: i128::from(count) * NANO,
        }
    }

    /// The value as a whole number, which the quantity of an extended resource must be
    /// (`ValidateResourceRequirements` in Kubernetes' `pkg/apis/core/validation`).
    pub fn to_count(self) -> Option<u64> {
        if self.nanos < 0 || self.nanos % NANO != 0 {
            None
        } else {
            u64::try_from(self.nanos / NANO).ok()
        }
    }

    pub fn to_units_rounded_up(self) -> i128 {
        self.nanos.div_euclid(NANO) + i128::from(self.nanos.rem_euclid(NANO) != 0)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || QuantityError::Malformed(excerpt(text).into_owned());
        let too_large = || QuantityError::TooLarge(excerpt(text).into_owned());

        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let number_len = unsigned
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(malformed());
        }

        let (numerator, power_of_ten) = scale(suffix).ok_or_else(malformed)?;
        // digits * numerator * 10^(power - fraction digits + 9) billionths, rounded up at the end.
        let mut value: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            value = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(i128::from(digit - b'0')))
                .ok_or_else(too_large)?;
        }
        value = value.checked_mul(numerator).ok_or_else(too_large)?;
        let fraction_digits = i32::try_from(fraction.len()).map_err(|_| too_large())?;
        let shift = power_of_ten - fraction_digits + 9;
        if value != 0 {
            let factor = 10i128.checked_pow(shift.unsigned_abs());
            value = match (shift >= 0, factor) {
                (true, Some(factor)) => value.checked_mul(factor).ok_or_else(too_large)?,
                (true, None) => return Err(too_large()),
                (false, Some(factor)) => value.div_euclid(factor) + i128::from(value.rem_euclid(factor) != 0),
                (false, None) => 1,
            };
        }
        Ok(Quantity {
            nanos: if text.starts_with('-') { -value } else { value },
        })
    }
}

/// The factor and the power of ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let binary = |power: u32| Some((1i128 << (10 * power), 0));
    match suffix {
        "" => Some((1, 0)),
        "n" => Some((1, -9)),
        "u" => Some((1, -6)),
        "m" => Some((1, -3)),
        "k" => Some((1, 3)),
        "M" => Some((1, 6)),
        "G" => Some((1, 9)),
        "T" => Some((1, 12)),
        "P" => Some((1, 15)),
        "E" => Some((1, 18)),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            // Three digits are far beyond any representable value, so parsing cannot overflow.
            if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            Some((1, exponent.parse().ok()?))
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos % NANO == 0 {
            write!(f, "{}", self.nanos / NANO)
        } else {
            write!(f, "{}n", self.nanos)
        }
    }
}

/// A quantity as a document spells it, valid or not.
///
/// It is parsed on use because a pod contains many quantities (`cpu: 500m`) and few of them are
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawQuantity<'a>(pub super::Text<'a>);

impl RawQuantity<'_> {
    pub fn to_count(&self) -> Result<u64, QuantityError> {
        self.0
            .parse::<Quantity>()?
            .to_count()
            .ok_or_else(|| QuantityError::NotWhole(excerpt(&self.0).into_owned()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawQuantity<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;

        // Kubernetes accepts a JSON number as well as a string (Quantity.UnmarshalJSON).
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = super::Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity: a number, or a string such as \"8Gi\"")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(text.into())
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(text.to_owned().into())
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(number.to_string().into())
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(number.to_string().into())
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(number.to_string().into())
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok("0".into())
            }
        }

        deserializer.deserialize_any(RawVisitor).map(RawQuantity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_valid_form_of_a_count_parses() {
        for (text, count) in [
            ("1", 1),
            ("+8", 8),
            ("1k", 1000),
            ("1e3", 1000),
            ("1E3", 1000),
            ("1000m", 1),
            ("2.0", 2),
            ("2.", 2),
            (".5k", 500),
            ("1Ki", 1024),
            ("1.5Ki", 1536),
            ("8000000000n", 8),
            ("0", 0),
            ("0e999", 0),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_count(), Some(count), "{text}");
        }
    }

    #[test]
    fn other_values_are_not_counts() {
        for text in ["500m", "1.5", "-1", "1n", "1e-3"] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_count(), None, "{text}");
        }
        for text in [
            "", "a", "1 ", " 1", "1kk", "1..2", ".", "1e", "1e+", "--1", "1ki", "0x10", "1_000", "1e1234",
        ] {
            assert!(
                matches!(text.parse::<Quantity>(), Err(QuantityError::Malformed(_))),
                "{text}"
            );
        }
        for text in ["1e200", "99999999999999999999999999999999999999Ei"] {
            assert!(
                matches!(text.parse::<Quantity>(), Err(QuantityError::TooLarge(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn quantities_are_json_numbers_or_strings() {
        for (json, count) in [("4", 4), (r#""4""#, 4), ("4.0", 4), ("null", 0)] {
            assert_eq!(
                serde_json::from_str::<RawQuantity<'_>>(json).unwrap().to_count(),
                Ok(count),
                "{json}"
            );
        }
        assert!(serde_json::from_str::<RawQuantity<'_>>("true").is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn counts_round_trip(count in any::<u32>()) {
            let quantity = Quantity::from_count(count.into());
            prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        }
    }
}
