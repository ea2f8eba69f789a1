//! Compares a plan with policies.

use super::mig_fit;
use super::model::{Plan, Pool};
use apportion_core::diagnostics::Finding;
use apportion_core::policy::PolicySet;
use apportion_core::policy::SharingRule;
use apportion_mig::product::ProductPattern;

/// Finds rules that no pool serves, and pools that no policy allows.
pub fn compare(plan: &Plan, policies: &PolicySet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for policy in policies.iter() {
        for (index, rule) in policy.rules.iter().enumerate() {
            if !plan.pools.iter().any(|pool| serves(pool, &rule.sharing)) {
                let message = format!("no pool of the plan `{}` offers this: {}", plan.name, rule.sharing);
                findings.push(Finding::warning(
                    rule.location.clone(),
                    format!("spec.strategies[{index}]"),
                    message,
                ));
            }
        }
    }
    for (index, pool) in plan.pools.iter().enumerate() {
        let is_used = policies
            .iter()
            .any(|policy| policy.sharing_rules().any(|rule| serves(pool, rule)));
        if !is_used {
            let product = pool
                .product
                .as_ref()
                .map_or_else(String::new, |product| format!(" on {product}"));
            let message = format!(
                "no policy allows {}{product}, so no governed pod can use pool `{}`",
                pool.strategy, pool.name
            );
            findings.push(Finding::warning(
                pool.location.clone(),
                format!("spec.pools[{index}]"),
                message,
            ));
        }
    }
    findings
}

fn serves(pool: &Pool, rule: &SharingRule) -> bool {
    let product = rule.products.is_empty()
        || pool
            .product
            .as_ref()
            .is_none_or(|product| rule.products.iter().any(|pattern| overlaps(product, pattern)));
    let profile = pool.mig.as_ref().is_none_or(|mig| {
        mig.layouts
            .iter()
            .flat_map(|layout| &layout.devices)
            .any(|(profile, _)| rule.allows_profile(*profile))
    });
    pool.strategy == rule.strategy && product && profile
}

/// Whether two patterns can mean the same product.
fn overlaps(a: &ProductPattern, b: &ProductPattern) -> bool {
    let names = |pattern: &ProductPattern| {
        mig_fit::models_of(pattern)
            .iter()
            .map(|model| model.name)
            .collect::<Vec<_>>()
    };
    a.matches(&b.as_str().into())
        || b.matches(&a.as_str().into())
        || names(a).iter().any(|name| names(b).contains(name))
}
