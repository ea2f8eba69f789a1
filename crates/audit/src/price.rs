//! What an hour of a GPU costs.

use std::collections::BTreeMap;

use serde::Deserialize;

use apportion_mig::product::{Product, ProductPattern};

/// Prices by product.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceList {
    /// What amounts are in, as people write it.
    pub currency: String,
    /// The longest pattern first, so that `A100-SXM4` wins over `A100`.
    prices: Vec<(ProductPattern, f64)>,
    other: Option<f64>,
}

/// Why a text is no price list.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// Not YAML, or other fields.
    #[error("{0}; write `currency: USD` and `prices: {{A100: 2.50, T4: 0.35}}`, each for one hour of one whole GPU")]
    Yaml(String),
    /// A product that is none.
    #[error("prices.{0}")]
    Product(#[from] apportion_mig::product::NotAProduct),
    /// A price that is none.
    #[error("{field} is {price}; write what one hour of one whole GPU costs, such as 2.50")]
    Price {
        /// Where.
        field: String,
        /// What stands there.
        price: f64,
    },
    /// Nothing has a price.
    #[error("it names no price; write `prices: {{A100: 2.50}}` or `default: 1.00`")]
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
    /// Reads a list: YAML or JSON with `currency`, `prices` by product, and `default` for all others.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        let document: Document = serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map_or(String::new(), |at| {
                format!("line {}, column {}: ", at.line(), at.column())
            });
            let message = error.without_snippet().to_string();
            PriceError::Yaml(format!(
                "{place}{}",
                message.split(" at line ").next().unwrap_or_default()
            ))
        })?;
        let checked = |field: String, price: f64| {
            if price.is_finite() && price >= 0.0 {
                Ok(price)
            } else {
                Err(PriceError::Price { field, price })
            }
        };
        let mut prices = Vec::new();
        for (name, price) in document.prices {
            let price = checked(format!("prices.{name}"), price)?;
            prices.push((ProductPattern::parse(&name)?, price));
        }
        prices.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.as_str().len()));
        let other = document
            .default
            .map(|price| checked("default".to_owned(), price))
            .transpose()?;
        if prices.is_empty() && other.is_none() {
            return Err(PriceError::Empty);
        }
        Ok(PriceList {
            currency: document.currency,
            prices,
            other,
        })
    }

    /// What one hour of a whole GPU of that product costs.
    pub fn hour(&self, product: Option<&Product>) -> Option<f64> {
        let named = product.and_then(|product| self.prices.iter().find(|(pattern, _)| pattern.matches(product)));
        named.map(|(_, price)| *price).or(self.other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_that_fits_has_the_price() {
        let list = PriceList::parse("currency: EUR\nprices: {A100: 2.5, A100-SXM4: 3, T4: 0.35}\n").unwrap();
        for (product, price) in [
            ("NVIDIA-A100-SXM4-80GB", Some(3.0)),
            ("NVIDIA-A100-PCIE-40GB", Some(2.5)),
            ("Tesla-T4", Some(0.35)),
            ("NVIDIA-A10", None),
        ] {
            assert_eq!(list.hour(Some(&product.into())), price, "{product}");
        }
        let list = PriceList::parse(r#"{"currency": "EUR", "default": 1}"#).unwrap();
        assert_eq!(
            (list.hour(None), list.hour(Some(&"Tesla-T4".into()))),
            (Some(1.0), Some(1.0))
        );
    }

    #[test]
    fn what_is_no_list_is_told_how_to_become_one() {
        for (text, words) in [
            ("", "currency"),
            ("currency: EUR", "no price"),
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
