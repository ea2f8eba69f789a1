//! The price of a GPU hour.

use std::collections::BTreeMap;

use serde::Deserialize;

use apportion_mig::product::{Product, ProductPattern};

/// Prices by product.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceList {
    /// Free text, such as `USD`.
    pub currency: String,
    /// Longest pattern first, so that `A100-SXM4` wins over `A100`.
    prices: Vec<(ProductPattern, f64)>,
    default: Option<f64>,
}

/// Why a price list is invalid.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    #[error(
        "{}; write `currency: USD` and `prices: {{A100: 2.50, T4: 0.35}}`, each for one hour of one whole GPU",
        .0.without_snippet()
    )]
    Yaml(Box<serde_saphyr::Error>),
    #[error("prices.{0}")]
    Product(#[from] apportion_mig::product::ParseProductError),
    /// Negative or not finite.
    #[error("{field} is {price}; write what one hour of one whole GPU costs, such as 2.50")]
    Price { field: String, price: f64 },
    #[error("the list has no price; write `prices: {{A100: 2.50}}` or `default: 1.00`")]
    Empty,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    currency: String,
    #[serde(default)]
    prices: BTreeMap<String, f64>,
    default: Option<f64>,
}

impl PriceList {
    /// Parses YAML or JSON with `currency`, `prices` by product, and `default` for other products.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        let document: Document = serde_saphyr::from_str(text).map_err(|error| PriceError::Yaml(Box::new(error)))?;
        let check = |field: String, price: f64| {
            if price.is_finite() && price >= 0.0 {
                Ok(price)
            } else {
                Err(PriceError::Price { field, price })
            }
        };
        let mut prices = Vec::new();
        for (name, price) in document.prices {
            let price = check(format!("prices.{name}"), price)?;
            prices.push((ProductPattern::parse(&name)?, price));
        }
        prices.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.as_str().len()));
        let default = document
            .default
            .map(|price| check("default".to_owned(), price))
            .transpose()?;
        if prices.is_empty() && default.is_none() {
            return Err(PriceError::Empty);
        }
        Ok(PriceList {
            currency: document.currency,
            prices,
            default,
        })
    }

    /// The price of one hour of a whole GPU of this product.
    pub fn per_hour(&self, product: Option<&Product>) -> Option<f64> {
        let listed = product.and_then(|product| self.prices.iter().find(|(pattern, _)| pattern.matches(product)));
        listed.map(|(_, price)| *price).or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_matching_pattern_sets_the_price() {
        let list = PriceList::parse("currency: EUR\nprices: {A100: 2.5, A100-SXM4: 3, T4: 0.35}\n").unwrap();
        for (product, price) in [
            ("NVIDIA-A100-SXM4-80GB", Some(3.0)),
            ("NVIDIA-A100-PCIE-40GB", Some(2.5)),
            ("Tesla-T4", Some(0.35)),
            ("NVIDIA-A10", None),
        ] {
            assert_eq!(list.per_hour(Some(&product.into())), price, "{product}");
        }
        let list = PriceList::parse(r#"{"currency": "EUR", "default": 1}"#).unwrap();
        assert_eq!(
            (list.per_hour(None), list.per_hour(Some(&"Tesla-T4".into()))),
            (Some(1.0), Some(1.0))
        );
    }

    #[test]
    fn invalid_lists_name_the_field_or_the_line() {
        for (text, words) in [
            ("", "currency"),
            ("currency: EUR", "has no price"),
            ("currency: EUR\nprices: {A100: -1}", "prices.A100 is -1"),
            ("currency: EUR\nprices: {A100: .nan}", "prices.A100 is NaN"),
            ("currency: EUR\nprices: {A100*: 1}", "A100*"),
            ("currency: EUR\nprice: {A100: 1}", "line 2"),
            ("currency: EUR\ndefault: cheap", "line 2"),
        ] {
            let error = PriceList::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
