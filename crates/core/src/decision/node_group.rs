//! What an empty node group must say of itself, so that an autoscaler sees that rewritten pods would fit it.
//!
//! An autoscaler that scales from zero has no node to look at; it holds pods against a template. The labels here are read off the very
//! requirements that pods are pinned with ([`mod@super::reach`]), so that the two can not drift apart.

use std::collections::BTreeMap;

use super::candidate::{Candidate, every_candidate};
use super::reach;
use super::resource_naming::ResourceNaming;
use crate::gpu::names::gpu_label;
use crate::gpu::{ContainerDemand, Counts, GpuResource, PodDemand};
use crate::inventory::Inventory;
use crate::k8s::{Constraints, ContainerKind, Operator, Requirement};
use crate::policy::SharingRule;
use apportion_mig::memory::MiB;
use apportion_mig::product::Product;

/// Nodes of one kind that can serve a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeGroup {
    /// How its nodes name what they give.
    pub naming: ResourceNaming,
    /// The resource that they advertise, and that pods ask for.
    pub resource: GpuResource,
    /// The labels that the template must carry.
    pub labels: BTreeMap<String, String>,
    /// What a label that is there must not say; where the label is missing, all is well.
    pub never: Vec<Requirement<'static>>,
    /// The label that pods which declare GPU memory want above what they declare, in MiB.
    pub memory_label: Option<String>,
}

/// The node groups of a product that serve a rule, in the order in which the rule prefers them. None where the rule does not allow the
/// product, or it has none of the rule's MIG profiles.
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
    let candidates = every_candidate(rule, &demand).unwrap_or_default();
    candidates
        .iter()
        .filter_map(|candidate| node_group(candidate, product))
        .collect()
}

fn node_group(candidate: &Candidate<'_>, product: &Product) -> Option<NodeGroup> {
    let (naming, resource) = (candidate.naming, candidate.naming.resource());
    // What feature discovery makes of the product's name (k8s-device-plugin `internal/lm/resource.go`).
    let (of_gpu, of_resource) = match naming {
        ResourceNaming::Whole | ResourceNaming::Share(GpuResource::GpuShared) => {
            (product.to_string(), product.to_string())
        }
        ResourceNaming::MigNamed(profile) => (product.to_string(), format!("{product}-MIG-{profile}")),
        ResourceNaming::MigSingle(profile) => (format!("{product}-MIG-{profile}"), format!("{product}-MIG-{profile}")),
        ResourceNaming::Share(_) => (format!("{product}-SHARED"), format!("{product}-SHARED")),
    };
    // A label that says which device it is would be believed; a product to come is not.
    if let ResourceNaming::MigNamed(profile) | ResourceNaming::MigSingle(profile) = naming
        && !reach::may_have(product, || std::iter::once(profile))
    {
        return None;
    }
    let pinned = [Requirement::new(gpu_label::PRODUCT, Operator::In, [of_gpu])];
    if reach::pinned_product_clash(candidate, &Constraints::default().and(&pinned)).is_some() {
        return None;
    }
    let mut labels = BTreeMap::from([(resource.label_key("product"), of_resource)]);
    let mut never = Vec::new();
    for requirement in reach::identity_anywhere(candidate) {
        match (requirement.operator, requirement.values.first()) {
            (Operator::In, Some(value)) => drop(labels.insert(requirement.key.to_string(), value.to_string())),
            _ => never.push(requirement),
        }
    }
    let memory = reach::narrowing(candidate, Some(MiB(1)), &Inventory::default(), &Constraints::default());
    let memory_label = memory.iter().find(|requirement| requirement.operator == Operator::Gt);
    Some(NodeGroup {
        naming,
        resource,
        labels,
        never,
        memory_label: memory_label.map(|requirement| requirement.key.to_string()),
    })
}
