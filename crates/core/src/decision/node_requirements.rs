//! The labels that a node must have to serve a candidate. In-tree filters and autoscalers see them
//! too.

use super::candidate::Candidate;
use super::model::ResourceNaming;
use crate::diagnostics::excerpt;
use crate::gpu::names::{SUFFIX_MEMORY, SUFFIX_SHARING_STRATEGY, gpu_label};
use crate::gpu::{GpuResource, Strategy};
use crate::inventory::{Inventory, OfferClass};
use crate::k8s::{NormalizedAffinity, Operator, Requirement};
use crate::policy::SharingRule;
use apportion_mig::lookup;
use apportion_mig::memory::MiB;
use apportion_mig::product::{MigSuffix, Product, ProductLabel, ProductPattern, WITHOUT_MIG};
use apportion_mig::profile::MigProfile;

/// The requirements that distinguish nodes that serve a candidate from other nodes with the same
/// resource name.
///
/// An unambiguous name needs few: `nvidia.com/mig-1g.10gb` is a partition unless a label says that
/// it is time-sliced. `nvidia.com/gpu` needs all of them. If a label may be missing, as in a node
/// group that is scaled from zero, its absence satisfies the requirement wherever that is safe.
pub fn identifying(candidate: &Candidate<'_>, inventory: &Inventory) -> Vec<Requirement<'static>> {
    let Candidate { rule, naming, .. } = candidate;
    let sharing = |resource: GpuResource, operator, value: &str| {
        Requirement::new(resource.label_key(SUFFIX_SHARING_STRATEGY), operator, [value])
    };
    match naming {
        ResourceNaming::Whole => vec![
            sharing(GpuResource::Gpu, Operator::In, "none"),
            Requirement::new(
                gpu_label::MIG_SLICES,
                Operator::DoesNotExist,
                std::iter::empty::<String>(),
            ),
        ],
        ResourceNaming::MigNamed(_) => candidate
            .resources()
            .into_iter()
            .map(|resource| sharing(resource, Operator::NotIn, Strategy::TimeSlicing.as_str()))
            .collect(),
        ResourceNaming::MigSingle(profile) => {
            let labels = product_labels(inventory, rule, GpuResource::Gpu, |label| {
                label.mig == MigSuffix::Profile(*profile)
            });
            vec![
                sharing(GpuResource::Gpu, Operator::In, "none"),
                Requirement::new(gpu_label::PRODUCT, Operator::In, labels),
            ]
        }
        ResourceNaming::Share(resource @ (GpuResource::Gpu | GpuResource::GpuShared)) => {
            vec![sharing(*resource, Operator::In, rule.strategy.as_str())]
        }
        // The name is unambiguous.
        ResourceNaming::Share(GpuResource::Mig(_) | GpuResource::MigShared(_)) => Vec::new(),
    }
}

/// The [`identifying`] requirements that do not depend on the nodes that exist. This leaves out the
/// products under MIG `single`, whose labels are read from nodes.
pub fn identifying_on_any_nodes(candidate: &Candidate<'_>) -> Vec<Requirement<'static>> {
    let mut requirements = identifying(candidate, &Inventory::default());
    requirements.retain(|requirement| requirement.operator != Operator::In || !requirement.values.is_empty());
    requirements
}

/// The first requirement that is missing to restrict a pod with this affinity to nodes that serve
/// the candidate.
pub fn missing_requirement(candidate: &Candidate<'_>, affinity: &NormalizedAffinity<'_>) -> Option<String> {
    let missing = identifying_on_any_nodes(candidate)
        .iter()
        .find(|requirement| !affinity.implies(requirement))
        .map(ToString::to_string);
    match candidate.naming {
        ResourceNaming::MigSingle(profile) => missing.or_else(|| {
            let is_served = |value: &&str| ProductLabel::parse(value).mig == MigSuffix::Profile(profile);
            let pinned = affinity.pinned_values(gpu_label::PRODUCT);
            let is_pinned = pinned.is_some_and(|values| values.iter().all(is_served));
            (!is_pinned).then(|| format!("{}=<product>-MIG-{profile}", gpu_label::PRODUCT))
        }),
        _ => missing,
    }
}

/// Whether a pod with this affinity can run on no node that serves the candidate, whatever nodes
/// exist.
pub fn is_ruled_out(candidate: &Candidate<'_>, affinity: &NormalizedAffinity<'_>) -> bool {
    let requirements = identifying_on_any_nodes(candidate);
    product_conflict(candidate, &affinity.with_requirements(&requirements)).is_some()
        || !affinity.is_compatible_with(&requirements)
}

/// The requirements of the rule's products and of the declared memory.
pub fn restricting(
    candidate: &Candidate<'_>,
    memory: Option<MiB>,
    inventory: &Inventory,
    affinity: &NormalizedAffinity<'_>,
) -> Vec<Requirement<'static>> {
    let rule = candidate.rule;
    let mut requirements = Vec::new();
    for resource in candidate.resources() {
        let key = resource.label_key("product");
        let pins_allowed_products = || {
            affinity.pinned_values(&key).is_some_and(|values| {
                values
                    .iter()
                    .all(|value| rule.allows_product(Some(&ProductLabel::parse(value).product)))
            })
        };
        // The identifying requirements of MIG `single` already list the products.
        if !rule.products.is_empty()
            && !matches!(candidate.naming, ResourceNaming::MigSingle(_))
            && !pins_allowed_products()
        {
            let labels = product_labels(inventory, rule, resource, |_| true);
            // Until a node has such a product, the exact value of its label is unknown. Then only
            // the extender enforces the rule.
            if !labels.is_empty() {
                requirements.push(Requirement::new(&key, Operator::In, labels));
            }
        }
        // The label gives the memory of the device. An MPS share has less, which only the extender
        // checks.
        if let Some(MiB(needed)) = memory
            && needed > 0
        {
            let above = (needed - 1).to_string();
            requirements.push(Requirement::new(
                resource.label_key(SUFFIX_MEMORY),
                Operator::Gt,
                [above],
            ));
        }
    }
    requirements
}

/// The pod's selection of products, if none of them can serve the candidate.
///
/// Comparing requirements is not enough: `nvidia.com/gpu.product=Tesla-T4` contradicts none of
/// those of `nvidia.com/mig-1g.10gb`, but a T4 does not support MIG.
pub fn product_conflict(candidate: &Candidate<'_>, affinity: &NormalizedAffinity<'_>) -> Option<String> {
    let Candidate { rule, naming, .. } = candidate;
    let values = affinity.pinned_values(gpu_label::PRODUCT)?;
    let may_serve = |value: &&str| {
        let label = ProductLabel::parse(value);
        // Containers can have different profiles, but run on the same node.
        let profiles = || candidate.resources().into_iter().filter_map(GpuResource::profile);
        let profiles_fit = || may_support(&label.product, profiles);
        rule.allows_product(Some(&label.product))
            && match naming {
                ResourceNaming::Whole => !label.shared && label.mig == MigSuffix::None,
                ResourceNaming::MigNamed(_) => label.mig == MigSuffix::None && profiles_fit(),
                ResourceNaming::MigSingle(profile) => label.mig == MigSuffix::Profile(*profile) && !label.shared,
                ResourceNaming::Share(GpuResource::GpuShared) => !label.shared,
                ResourceNaming::Share(GpuResource::Gpu) => label.shared,
                ResourceNaming::Share(GpuResource::Mig(_) | GpuResource::MigShared(_)) => profiles_fit(),
            }
    };
    if values.iter().any(may_serve) {
        None
    } else {
        Some(format!("{}={}", gpu_label::PRODUCT, excerpt(&values.join(", "))))
    }
}

/// Whether a product can support all these MIG profiles. Unknown products can, unless they are
/// known to lack MIG.
pub(super) fn may_support<I: Iterator<Item = MigProfile>>(product: &Product, profiles: impl Fn() -> I) -> bool {
    match lookup::model_of(product, None) {
        // A name can stand for several models with different memory. Any of them will do.
        Some(_) => {
            lookup::models_matching(product).any(|model| profiles().all(|profile| model.profile(profile).is_some()))
        }
        None => !WITHOUT_MIG
            .iter()
            .any(|name| ProductPattern::parse(name).is_ok_and(|pattern| pattern.matches(product))),
    }
}

/// The product labels of all offers of a resource that the rule allows.
fn product_labels(
    inventory: &Inventory,
    rule: &SharingRule,
    resource: GpuResource,
    matches: impl Fn(&ProductLabel) -> bool,
) -> Vec<String> {
    let mut labels: Vec<String> = inventory
        .variants(OfferClass {
            strategy: rule.strategy,
            resource,
        })
        .filter(|offer| rule.allows_product(offer.product.as_ref()))
        .filter_map(|offer| offer.product_label.as_deref())
        .filter(|label| matches(&ProductLabel::parse(label)))
        .map(str::to_owned)
        .collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}
