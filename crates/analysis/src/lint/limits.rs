//! Checks the limits of one policy against a cluster.

use apportion_core::diagnostics::Finding;
use apportion_core::gpu::Strategy;
use apportion_core::inventory::{Inventory, NodeEntry, Offer};
use apportion_core::k8s::LabelSource as _;
use apportion_core::policy::MemoryLimit;
use apportion_core::policy::Policy;
use apportion_core::policy::is_exempt;
use apportion_mig::memory::MiB;

pub(super) fn lint(policy: &Policy, inventory: &Inventory) -> Vec<Finding> {
    let found = [
        ("sharesPerGPU", ineffective_share_limit(policy, inventory)),
        ("undeclaredMemory", excessive_undeclared_memory(policy, inventory)),
        ("tenantLabel", unused_tenant_label(policy, inventory)),
    ];
    found
        .into_iter()
        .filter_map(|(field, message)| {
            let field = format!("spec.limits.{field}");
            Some(Finding::warning(policy.location.clone(), field, message?))
        })
        .collect()
}

/// Shared offers that the policy's pods can use, with their nodes.
fn shared_offers<'i>(policy: &'i Policy, inventory: &'i Inventory) -> impl Iterator<Item = (&'i NodeEntry, &'i Offer)> {
    inventory.nodes().flat_map(move |node| {
        node.offers
            .offers
            .iter()
            .filter(|offer| offer.is_shared() && policy.sharing_rules().any(|rule| offer.serves(rule, None).is_ok()))
            .map(move |offer| (node, offer))
    })
}

/// A maximum that no GPU can exceed.
fn ineffective_share_limit(policy: &Policy, inventory: &Inventory) -> Option<String> {
    let limit = u64::from(policy.limits.shares_per_gpu?.get());
    let replicas = shared_offers(policy, inventory)
        .map(|(_, offer)| offer.replicas)
        .max()?;
    (limit >= replicas).then(|| {
        format!("{limit} has no effect: no GPU that the policy allows has more than {replicas} shares; lower it, or remove it")
    })
}

/// An assumed memory with which a GPU cannot hold one pod, or with which no GPU can be shared.
fn excessive_undeclared_memory(policy: &Policy, inventory: &Inventory) -> Option<String> {
    let assumed = policy.limits.undeclared_memory;
    let memories = || {
        shared_offers(policy, inventory)
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
            "a pod without declared memory counts as {assumed} per share, but a GPU of node {node} has only {smallest}; lower it"
        ));
    }
    (policy.limits.memory == MemoryLimit::PerGpu && assumed.0.saturating_mul(2) > largest.0).then(|| {
        format!(
            "with memory: PerGPU two pods without declared memory never share a GPU: each counts as {assumed}, and the largest GPU has {largest}; lower it, or declare the pods' memory"
        )
    })
}

/// A tenant label that no namespace has.
fn unused_tenant_label(policy: &Policy, inventory: &Inventory) -> Option<String> {
    let key = policy.tenant_label.as_deref()?;
    let mut governed = inventory
        .namespaces()
        .filter(|(name, labels)| !is_exempt(name) && policy.namespaces.matches(*labels))
        .peekable();
    governed.peek()?;
    let mut labelled = governed.filter(|(_, labels)| labels.label(key).is_some_and(|value| !value.is_empty()));
    labelled.next().is_none().then(|| {
        format!(
            "no namespace of the policy has the label {key}, so each namespace is its own tenant; label them, or remove this"
        )
    })
}
