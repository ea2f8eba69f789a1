//! What is doubtful in one policy's rules.

use apportion_core::diagnostics::Finding;
use apportion_core::diagnostics::spelling;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::names::gpu_label;
use apportion_core::policy::Policy;
use apportion_core::policy::model::Rule;
use apportion_mig::product::{Product, ProductPattern};
use apportion_mig::{geometry, product};

/// What is doubtful in the rules of a policy. `seen` are products that nodes are known to have.
pub fn lint(policy: &Policy, seen: &[&Product]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, rule) in policy.rules.iter().enumerate() {
        let field = format!("spec.strategies[{at}]");
        findings.extend(order(rule, &field));
        for (at, (pattern, location)) in rule.sharing.products.iter().zip(&rule.product_locations).enumerate() {
            if let Some(message) = unknown(pattern, seen).or_else(|| without_profile(rule, pattern)) {
                let field = format!("{field}.products[{at}]");
                findings.push(Finding::warning(location.clone(), field, message));
            }
        }
    }
    findings
}

/// The first that is out of order says enough.
fn order(rule: &Rule, field: &str) -> Option<Finding> {
    let profiles = &rule.sharing.profiles;
    let at = (1..profiles.len()).find(|at| profiles[*at] < profiles[*at - 1])?;
    let message = format!(
        "`{}` is smaller than `{}` before it; list the smallest first, since a pod without a wish gets the first that is free",
        profiles[at],
        profiles[at - 1]
    );
    let location = rule.profile_locations.get(at).unwrap_or(&rule.location);
    Some(Finding::warning(
        location.clone(),
        format!("{field}.profiles[{at}]"),
        message,
    ))
}

fn unknown(pattern: &ProductPattern, seen: &[&Product]) -> Option<String> {
    let as_product = Product::from(pattern.as_str());
    let named = |name: &str| {
        pattern.matches(&name.into()) || ProductPattern::parse(name).is_ok_and(|known| known.matches(&as_product))
    };
    if geometry::MODELS.iter().any(|model| model.is_meant_by(pattern))
        || product::WITHOUT_MIG.iter().any(|name| named(name))
        || seen.iter().any(|product| pattern.matches(product))
    {
        return None;
    }
    let known = geometry::MODELS
        .iter()
        .map(geometry::Model::word)
        .chain(product::WITHOUT_MIG.iter().copied());
    let help = match spelling::nearest(pattern.as_str(), known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!(
            "it is compared with the label {} of nodes, word by word, so check its spelling there",
            gpu_label::PRODUCT
        ),
    };
    Some(format!("`{pattern}` is no product known here; {help}"))
}

/// A product that stands in a MIG rule for nothing. Where a word means several models, one of them is enough.
fn without_profile(rule: &Rule, pattern: &ProductPattern) -> Option<String> {
    if rule.sharing.strategy != Strategy::Mig {
        return None;
    }
    let models: Vec<_> = geometry::MODELS
        .iter()
        .filter(|model| model.is_meant_by(pattern))
        .collect();
    let served = models.iter().any(|model| {
        rule.sharing
            .profiles
            .iter()
            .any(|profile| model.row(*profile).is_some())
    });
    if models.is_empty() || served {
        return None;
    }
    let mut smallest: Vec<&str> = models
        .iter()
        .filter_map(|model| model.rows.first())
        .map(|row| row.profile)
        .collect();
    smallest.dedup();
    Some(format!(
        "{pattern} has none of the profiles of this rule; add one that it has, such as {}, or remove it",
        smallest.join(" or ")
    ))
}
