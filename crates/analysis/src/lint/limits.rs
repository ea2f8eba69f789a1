//! Limits of policies that do not do what they seem to, beside a cluster.

use apportion_core::diagnostics::Finding;
use apportion_core::gpu::Strategy;
use apportion_core::inventory::{Inventory, NodeEntry, Offer};
use apportion_core::k8s::LabelSource as _;
use apportion_core::policy::MemoryLimit;
use apportion_core::policy::Policy;
use apportion_core::policy::governance::is_exempt;
use apportion_mig::memory::MiB;

/// What is doubtful in the limits of a policy beside this cluster.
pub fn lint(policy: &Policy, inventory: &Inventory) -> Vec<Finding> {
    let found = [
        ("sharesPerGPU", idle_count(policy, inventory)),
        ("undeclaredMemory", too_large(policy, inventory)),
        ("tenantLabel", unnamed(policy, inventory)),
    ];
    found
        .into_iter()
        .filter_map(|(field, message)| {
            let field = format!("spec.limits.{field}");
            Some(Finding::warning(policy.location.clone(), field, message?))
        })
        .collect()
}

/// Offers of shares that the policy's pods can get, with their nodes.
fn shares<'i>(policy: &'i Policy, inventory: &'i Inventory) -> impl Iterator<Item = (&'i NodeEntry, &'i Offer)> {
    inventory.nodes().flat_map(move |node| {
        node.offers
            .offers
            .iter()
            .filter(|offer| offer.is_shared() && policy.sharing_rules().any(|rule| offer.serves(rule, None).is_ok()))
            .map(move |offer| (node, offer))
    })
}

/// A number of shares that no GPU is cut into.
fn idle_count(policy: &Policy, inventory: &Inventory) -> Option<String> {
    let most = u64::from(policy.limits.shares_per_gpu?.get());
    let replicas = shares(policy, inventory).map(|(_, offer)| offer.replicas).max()?;
    (most >= replicas).then(|| {
        format!("{most} has no effect: no GPU that the policy allows is cut into more than {replicas} shares; lower it, or remove it")
    })
}

/// An assumption that hardly any GPU can meet.
fn too_large(policy: &Policy, inventory: &Inventory) -> Option<String> {
    let assumed = policy.limits.undeclared_memory;
    let memories = || {
        shares(policy, inventory)
            .filter(|(_, offer)| offer.strategy == Strategy::TimeSlicing)
            .filter_map(|(node, offer)| Some((offer.assured_memory()?, &*node.name)))
    };
    let (largest, _) = memories().max()?;
    let (smallest, node) = memories().min()?;
    if policy.limits.memory == MemoryLimit::Unchecked || assumed == MiB(0) {
        return None;
    }
    if assumed > smallest {
        return Some(format!(
            "a share counts with {assumed} whose pod declares nothing, and a GPU of node {node} has {smallest}; lower it"
        ));
    }
    (policy.limits.memory == MemoryLimit::PerGpu && assumed.0.saturating_mul(2) > largest.0).then(|| {
        format!(
            "under memory: PerGPU no two pods that declare nothing ever share a GPU: each counts with {assumed}, and the largest GPU has {largest}; lower it, or let them declare what they need"
        )
    })
}

/// A label that names nobody.
fn unnamed(policy: &Policy, inventory: &Inventory) -> Option<String> {
    let key = policy.tenant_label.as_deref()?;
    let mut governed = inventory
        .namespaces()
        .filter(|(name, labels)| !is_exempt(name) && policy.namespaces.matches(*labels))
        .peekable();
    governed.peek()?;
    let mut named = governed.filter(|(_, labels)| labels.label(key).is_some_and(|value| !value.is_empty()));
    named.next().is_none().then(|| {
        format!(
            "no namespace of the policy has the label {key}, so each is a tenant of its own; label them, or remove this"
        )
    })
}
