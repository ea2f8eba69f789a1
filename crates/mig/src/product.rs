//! GPU product names, as GPU feature discovery writes them to node labels.

use std::fmt;

use super::profile::MigProfile;

/// A product name without the suffixes that MIG and sharing add: `NVIDIA-A100-SXM4-80GB`,
/// `Tesla-T4`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Product(Box<str>);

/// The parts of a `nvidia.com/gpu.product` label (k8s-device-plugin `internal/lm/resource.go`,
/// `getProductName`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductLabel {
    pub product: Product,
    pub mig: MigSuffix,
    /// Whether the label ends in `-SHARED`: replicas are configured and the resource is not
    /// renamed.
    pub shared: bool,
}

/// The `-MIG-...` suffix of a `nvidia.com/gpu.product` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigSuffix {
    /// The resource is a GPU, not a MIG device.
    None,
    Profile(MigProfile),
    /// `MIG-INVALID`, or a profile without a resource: MIG strategy `single` on GPUs whose
    /// partitions do not allow it.
    Invalid,
}

impl Product {
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
    pub fn parse(label: &str) -> Self {
        let (rest, shared) = match label.strip_suffix("-SHARED") {
            Some(rest) => (rest, true),
            None => (label, false),
        };
        let (product, mig) = match rest.split_once("-MIG-") {
            None => (rest, MigSuffix::None),
            Some((product, profile)) => {
                let mig = MigProfile::from_resource_name(profile).map_or(MigSuffix::Invalid, MigSuffix::Profile);
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

/// A part of product names: `A100`, `H100-NVL`, `NVIDIA-A100-SXM4-80GB`.
///
/// Matches every product whose dash-separated words contain those of the pattern in sequence,
/// ignoring case. So `A100` matches neither `A10` nor `A100X`, and `H200` does not match `GH200`.
///
/// ```
/// use apportion_mig::{Product, ProductPattern};
///
/// let pattern = ProductPattern::parse("a100-sxm4")?;
/// assert!(pattern.matches(&Product::from("NVIDIA-A100-SXM4-80GB")));
/// assert!(!pattern.matches(&Product::from("NVIDIA-A100-PCIE-40GB")));
/// # Ok::<(), apportion_mig::ParseProductError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductPattern(Box<str>);

/// The text cannot be part of a product name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid GPU product name; use letters, digits and dashes, such as A100 or H100-NVL")]
pub struct ParseProductError(pub String);

impl ProductPattern {
    pub fn parse(text: &str) -> Result<Self, ParseProductError> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_')
        };
        if text.split('-').all(is_word) {
            Ok(ProductPattern(text.into()))
        } else {
            Err(ParseProductError(text.to_owned()))
        }
    }

    pub fn matches(&self, product: &Product) -> bool {
        // Called for each node of a filter request, so it must not allocate.
        let (name, words) = (product.0.as_bytes(), self.0.as_bytes());
        let starts = || std::iter::once(0).chain((1..name.len()).filter(|at| name[at - 1] == b'-'));
        starts().any(|start| {
            let end = start + words.len();
            name.get(start..end)
                .is_some_and(|part| part.eq_ignore_ascii_case(words))
                && name.get(end).is_none_or(|next| *next == b'-')
        })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProductPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Short names of data centre and workstation GPUs without MIG. Together with
/// [`MODELS`](super::MODELS) they tell a typing error from a new product.
pub const WITHOUT_MIG: &[&str] = &[
    "V100", "V100S", "T4", "T4G", "P100", "P40", "P4", "A2", "A10", "A10G", "A16", "A40", "L4", "L20", "L40", "L40S",
    "L40G",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_labels_are_parsed() {
        let mig = |text: &str| MigSuffix::Profile(text.parse().unwrap());
        for (label, product, part, shared) in [
            ("Tesla-T4", "Tesla-T4", MigSuffix::None, false),
            ("Tesla-T4-SHARED", "Tesla-T4", MigSuffix::None, true),
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
            ("NVIDIA-A30-MIG-INVALID", "NVIDIA-A30", MigSuffix::Invalid, false),
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
