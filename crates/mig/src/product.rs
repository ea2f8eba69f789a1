//! GPU products, as GPU feature discovery names them.

use std::fmt;

use super::profile::MigProfile;

/// A product's name without what sharing adds: `NVIDIA-A100-SXM4-80GB`, `Tesla-T4`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Product(Box<str>);

/// The value of a `product` label, taken apart (k8s-device-plugin `internal/lm/resource.go`, `getProductName`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductLabel {
    /// The product.
    pub product: Product,
    /// What stands behind `-MIG-`.
    pub mig: MigPart,
    /// Whether it ends in `-SHARED`: shared, and the resource not renamed.
    pub shared: bool,
}

/// What a `product` label says of MIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigPart {
    /// A GPU, not a MIG device.
    None,
    /// A MIG device.
    Profile(MigProfile),
    /// `MIG-INVALID`, or a profile that has no resource: strategy `single` on GPUs that do not allow it.
    Invalid,
}

impl Product {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Product {
    fn from(name: &str) -> Self {
        Product(name.into())
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl ProductLabel {
    /// Takes a label's value apart.
    pub fn parse(label: &str) -> Self {
        let (rest, shared) = match label.strip_suffix("-SHARED") {
            Some(rest) => (rest, true),
            None => (label, false),
        };
        let (product, mig) = match rest.split_once("-MIG-") {
            None => (rest, MigPart::None),
            Some((product, profile)) => {
                let mig = MigProfile::from_resource_name(profile).map_or(MigPart::Invalid, MigPart::Profile);
                (product, mig)
            }
        };
        ProductLabel {
            product: product.into(),
            mig,
            shared,
        }
    }
}

/// A product as a policy names it: `A100`, `H100-NVL`, `NVIDIA-A100-SXM4-80GB`.
///
/// It stands for every product whose name, split at dashes, holds these words one after the other, whatever their case.
/// So `A100` is neither `A10` nor `A100X`, and `H200` is not `GH200`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductPattern(Box<str>);

/// A text that can not be a part of a product's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can not be a GPU product; write letters, digits and dashes, such as A100 or H100-NVL")]
pub struct NotAProduct(pub String);

impl ProductPattern {
    /// Checks that `text` can be a part of a product's name.
    pub fn parse(text: &str) -> Result<Self, NotAProduct> {
        let word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_')
        };
        if text.split('-').all(word) {
            Ok(ProductPattern(text.into()))
        } else {
            Err(NotAProduct(text.to_owned()))
        }
    }

    /// Whether `product` is one of those meant.
    pub fn matches(&self, product: &Product) -> bool {
        // Asked for each node of a filter call, so nothing is allocated here.
        let (name, words) = (product.0.as_bytes(), self.0.as_bytes());
        let starts = || std::iter::once(0).chain((1..name.len()).filter(|at| name[at - 1] == b'-'));
        starts().any(|at| {
            let ends = at + words.len();
            name.get(at..ends).is_some_and(|part| part.eq_ignore_ascii_case(words))
                && name.get(ends).is_none_or(|next| *next == b'-')
        })
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProductPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Names by which data centre and workstation GPUs are called, to tell a typing error from a new product. The MIG-capable
/// ones come from [`super::geometry`]; these have no MIG.
pub const WITHOUT_MIG: &[&str] = &[
    "V100", "V100S", "T4", "T4G", "P100", "P40", "P4", "A2", "A10", "A10G", "A16", "A40", "L4", "L20", "L40", "L40S",
    "L40G",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_taken_apart() {
        let mig = |text: &str| MigPart::Profile(text.parse().unwrap());
        for (label, product, part, shared) in [
            ("Tesla-T4", "Tesla-T4", MigPart::None, false),
            ("Tesla-T4-SHARED", "Tesla-T4", MigPart::None, true),
            ("NVIDIA-H100-NVL-MIG-1g.12gb", "NVIDIA-H100-NVL", mig("1g.12gb"), false),
            (
                "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb-SHARED",
                "NVIDIA-A100-SXM4-40GB",
                mig("1g.5gb"),
                true,
            ),
            (
                "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb.me",
                "NVIDIA-A100-SXM4-80GB",
                mig("1g.10gb+me"),
                false,
            ),
            ("NVIDIA-A30-MIG-INVALID", "NVIDIA-A30", MigPart::Invalid, false),
        ] {
            let parsed = ProductLabel::parse(label);
            assert_eq!(
                (parsed.product.as_str(), parsed.mig, parsed.shared),
                (product, part, shared),
                "{label}"
            );
        }
    }

    #[test]
    fn patterns_match_whole_words() {
        for (pattern, product, matches) in [
            ("A100", "NVIDIA-A100-SXM4-80GB", true),
            ("a100", "A100-PCIE-40GB", true),
            ("A100-SXM4", "NVIDIA-A100-SXM4-80GB", true),
            ("A100-80GB", "NVIDIA-A100-SXM4-80GB", false),
            ("A10", "NVIDIA-A100-SXM4-80GB", false),
            ("H200", "NVIDIA-GH200-480GB", false),
            ("L4", "NVIDIA-L40S", false),
            ("T4", "Tesla-T4", true),
            ("NVIDIA-A30", "NVIDIA-A30", true),
            ("NVIDIA-A30-24GB", "NVIDIA-A30", false),
        ] {
            let parsed = ProductPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(&product.into()), matches, "{pattern} {product}");
        }
        for text in ["", "A100*", "A 100", "-A100", "A100-"] {
            assert!(ProductPattern::parse(text).is_err(), "{text}");
        }
    }
}
