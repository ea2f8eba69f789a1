//! Sharing rules: one entry of a policy's `strategies`.

use std::fmt;

use crate::gpu::strategy::Strategy;
use apportion_mig::product::{Product, ProductPattern};
use apportion_mig::profile::MigProfile;

/// A strategy that a policy allows, on the profiles and products that it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharingRule {
    pub strategy: Strategy,
    /// Allowed MIG profiles in order of preference; empty means any. In a valid policy, `mig` lists
    /// at least one.
    pub profiles: Vec<MigProfile>,
    /// Allowed products; empty means any.
    pub products: Vec<ProductPattern>,
}

impl SharingRule {
    /// A rule that allows every profile and product.
    pub fn any(strategy: Strategy) -> Self {
        SharingRule {
            strategy,
            profiles: Vec::new(),
            products: Vec::new(),
        }
    }

    pub fn allows_profile(&self, profile: MigProfile) -> bool {
        self.profiles.is_empty() || self.profiles.contains(&profile)
    }

    /// The profiles, separated by commas.
    pub fn profile_names(&self) -> String {
        join(&self.profiles)
    }

    /// Whether the rule allows a product. If the rule lists products, it does not allow an unknown
    /// product (`None`).
    pub fn allows_product(&self, product: Option<&Product>) -> bool {
        self.products.is_empty()
            || product.is_some_and(|product| self.products.iter().any(|pattern| pattern.matches(product)))
    }
}

impl fmt::Display for SharingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.strategy)?;
        if !self.profiles.is_empty() {
            write!(f, " {}", join(&self.profiles))?;
        }
        if !self.products.is_empty() {
            write!(f, " on {}", join(&self.products))?;
        }
        Ok(())
    }
}

fn join(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
