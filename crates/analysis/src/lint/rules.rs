//! Checks the rules of one policy.

use apportion_core::diagnostics::Finding;
use apportion_core::diagnostics::spelling;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::names::gpu_label;
use apportion_core::policy::Policy;
use apportion_core::policy::model::Rule;
use apportion_mig::product::{Product, ProductPattern};
use apportion_mig::{MODELS, product};

/// `cluster_products` are the products of nodes, which are not reported as unknown.
pub(super) fn lint(policy: &Policy, cluster_products: &[&Product]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let field = format!("spec.strategies[{index}]");
        findings.extend(unordered_profiles(rule, &field));
        for (index, (pattern, location)) in rule.sharing.products.iter().zip(&rule.product_locations).enumerate() {
            if let Some(message) = unknown_product(pattern, cluster_products).or_else(|| without_profile(rule, pattern))
            {
                let field = format!("{field}.products[{index}]");
                findings.push(Finding::warning(location.clone(), field, message));
            }
        }
    }
    findings
}

/// Reports the first profile that is out of order.
fn unordered_profiles(rule: &Rule, field: &str) -> Option<Finding> {
    let profiles = &rule.sharing.profiles;
    let index = (1..profiles.len()).find(|index| profiles[*index] < profiles[*index - 1])?;
    let message = format!(
        "`{}` is smaller than `{}` before it; list the smallest first, because a pod that requests no profile gets the first free one",
        profiles[index],
        profiles[index - 1]
    );
    let location = rule.profile_locations.get(index).unwrap_or(&rule.location);
    Some(Finding::warning(
        location.clone(),
        format!("{field}.profiles[{index}]"),
        message,
    ))
}

fn unknown_product(pattern: &ProductPattern, cluster_products: &[&Product]) -> Option<String> {
    let as_product = Product::from(pattern.as_str());
    let matches = |name: &str| {
        pattern.matches(&name.into()) || ProductPattern::parse(name).is_ok_and(|known| known.matches(&as_product))
    };
    if MODELS.iter().any(|model| model.matches_pattern(pattern))
        || product::WITHOUT_MIG.iter().any(|name| matches(name))
        || cluster_products.iter().any(|product| pattern.matches(product))
    {
        return None;
    }
    let known = MODELS
        .iter()
        .map(apportion_mig::Model::short_name)
        .chain(product::WITHOUT_MIG.iter().copied());
    let help = match spelling::nearest(pattern.as_str(), known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!(
            "it is compared word by word with the node label {}, so check the spelling there",
            gpu_label::PRODUCT
        ),
    };
    Some(format!("`{pattern}` is not a known product; {help}"))
}

/// Reports a product that has none of a MIG rule's profiles. If a pattern means several models, one
/// with a profile is enough.
fn without_profile(rule: &Rule, pattern: &ProductPattern) -> Option<String> {
    if rule.sharing.strategy != Strategy::Mig {
        return None;
    }
    let models: Vec<_> = MODELS.iter().filter(|model| model.matches_pattern(pattern)).collect();
    let has_profile = models.iter().any(|model| {
        rule.sharing
            .profiles
            .iter()
            .any(|profile| model.profile(*profile).is_some())
    });
    if models.is_empty() || has_profile {
        return None;
    }
    let mut smallest: Vec<&str> = models
        .iter()
        .filter_map(|model| model.profiles.first())
        .map(|row| row.name)
        .collect();
    smallest.dedup();
    Some(format!(
        "{pattern} has none of this rule's profiles; add one that it has, such as {}, or remove it",
        smallest.join(" or ")
    ))
}
