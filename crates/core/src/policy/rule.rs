//! Sharing rules: one line of a policy.

use std::fmt;

use crate::gpu::strategy::Strategy;
use apportion_mig::product::{Product, ProductPattern};
use apportion_mig::profile::MigProfile;

/// A strategy that a policy allows, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharingRule {
    /// The strategy.
    pub strategy: Strategy,
    /// MIG profiles that are allowed, in order of preference; empty means any. A policy's `mig` always lists some.
    pub profiles: Vec<MigProfile>,
    /// Products that are allowed; empty means any.
    pub products: Vec<ProductPattern>,
}

impl SharingRule {
    /// A rule without any narrowing.
    pub fn any(strategy: Strategy) -> Self {
        SharingRule {
            strategy,
            profiles: Vec::new(),
            products: Vec::new(),
        }
    }

    /// Whether the rule allows a profile.
    pub fn allows_profile(&self, profile: MigProfile) -> bool {
        self.profiles.is_empty() || self.profiles.contains(&profile)
    }

    /// The profiles, for a message.
    pub fn profile_names(&self) -> String {
        self.profiles
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Whether the rule allows a product. One that is not known is not allowed where the rule names products.
    pub fn allows_product(&self, product: Option<&Product>) -> bool {
        self.products.is_empty()
            || product.is_some_and(|product| self.products.iter().any(|pattern| pattern.matches(product)))
    }
}

impl fmt::Display for SharingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |items: Vec<String>| items.join(", ");
        write!(f, "{}", self.strategy)?;
        if !self.profiles.is_empty() {
            write!(f, " {}", join(self.profiles.iter().map(ToString::to_string).collect()))?;
        }
        if !self.products.is_empty() {
            write!(
                f,
                " on {}",
                join(self.products.iter().map(ToString::to_string).collect())
            )?;
        }
        Ok(())
    }
}
