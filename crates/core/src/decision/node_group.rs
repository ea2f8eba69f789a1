//! The labels that an empty node group must declare, so that autoscalers see that rewritten pods
//! fit it.
//!
//! An autoscaler that scales from zero has no node to look at, so it compares pods with a template.
//! The labels come from the same requirements that are written into pods
//! ([`mod@super::node_requirements`]), so the two cannot drift apart.

use std::collections::BTreeMap;

use super::candidate::{Candidate, all_possible_candidates};
use super::model::ResourceNaming;
use super::node_requirements;
use crate::gpu::names::gpu_label;
use crate::gpu::{ContainerDemand, Counts, GpuResource, PodDemand};
use crate::inventory::Inventory;
use crate::k8s::{ContainerKind, Operator, RequiredNodeAffinity, Requirement};
use crate::policy::SharingRule;
use apportion_mig::memory::MiB;
use apportion_mig::product::Product;

/// A kind of nodes that can serve a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeGroup {
    pub naming: ResourceNaming,
    /// The resource that the nodes advertise and pods request.
    pub resource: GpuResource,
    /// The labels that the template must carry.
    pub labels: BTreeMap<String, String>,
    /// Requirements that a missing label satisfies, so that the template need not have it.
    pub forbidden_labels: Vec<Requirement<'static>>,
    /// The label with the memory in MiB, which the template needs for pods that declare GPU memory.
    pub memory_label: Option<String>,
}

/// The node groups of a product that serve a rule, in the rule's order of preference. Empty if the
/// rule does not allow the product, or the product supports none of the rule's MIG profiles.
pub fn node_groups(rule: &SharingRule, product: &Product) -> Vec<NodeGroup> {
    let demand = PodDemand {
        containers: vec![ContainerDemand {
            kind: ContainerKind::Main,
            index: 0,
            name: String::new(),
            counts: Counts::one(GpuResource::Gpu, 1),
        }],
        memory: None,
    };
    let candidates = all_possible_candidates(rule, &demand).unwrap_or_default();
    candidates
        .iter()
        .filter_map(|candidate| node_group(candidate, product))
        .collect()
}

fn node_group(candidate: &Candidate<'_>, product: &Product) -> Option<NodeGroup> {
    let (naming, resource) = (candidate.naming, candidate.naming.resource());
    // How GPU feature discovery derives product labels (k8s-device-plugin
    // `internal/lm/resource.go`).
    let (gpu_product, resource_product) = match naming {
        ResourceNaming::Whole | ResourceNaming::Share(GpuResource::GpuShared) => {
            (product.to_string(), product.to_string())
        }
        ResourceNaming::MigNamed(profile) => (product.to_string(), format!("{product}-MIG-{profile}")),
        ResourceNaming::MigSingle(profile) => (format!("{product}-MIG-{profile}"), format!("{product}-MIG-{profile}")),
        ResourceNaming::Share(_) => (format!("{product}-SHARED"), format!("{product}-SHARED")),
    };
    // Here the profile is not read from the label of a node, so check that the product supports it.
    if let ResourceNaming::MigNamed(profile) | ResourceNaming::MigSingle(profile) = naming
        && !node_requirements::may_support(product, || std::iter::once(profile))
    {
        return None;
    }
    let pinned = [Requirement::new(gpu_label::PRODUCT, Operator::In, [gpu_product])];
    let unconstrained = RequiredNodeAffinity::default();
    let unconstrained = unconstrained.normalize();
    if node_requirements::product_conflict(candidate, &unconstrained.with_requirements(&pinned)).is_some() {
        return None;
    }
    let mut labels = BTreeMap::from([(resource.label_key("product"), resource_product)]);
    let mut forbidden_labels = Vec::new();
    for requirement in node_requirements::identifying_on_any_nodes(candidate) {
        match (requirement.operator, requirement.values.first()) {
            (Operator::In, Some(value)) => drop(labels.insert(requirement.key.to_string(), value.to_string())),
            _ => forbidden_labels.push(requirement),
        }
    }
    let memory = node_requirements::restricting(candidate, Some(MiB(1)), &Inventory::default(), &unconstrained);
    let memory_label = memory.iter().find(|requirement| requirement.operator == Operator::Gt);
    Some(NodeGroup {
        naming,
        resource,
        labels,
        forbidden_labels,
        memory_label: memory_label.map(|requirement| requirement.key.to_string()),
    })
}
