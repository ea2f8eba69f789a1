//! What a node must be, said in labels, so that in-tree filters and autoscalers see it too.

use super::candidate::Candidate;
use super::resource_naming::ResourceNaming;
use crate::gpu::names::{SUFFIX_MEMORY, SUFFIX_SHARING_STRATEGY, gpu_label};
use crate::gpu::{GpuResource, Strategy};
use crate::inventory::{Inventory, OfferClass};
use crate::k8s::{Constraints, Operator, Requirement};
use crate::policy::SharingRule;
use apportion_mig::memory::MiB;
use apportion_mig::product::MigPart;
use apportion_mig::product::{Product, ProductLabel};
use apportion_mig::profile::MigProfile;
use apportion_mig::{geometry, product};

/// What tells nodes that serve a candidate from others with the same resource name.
///
/// A name that only one kind of offer has needs little: `nvidia.com/mig-1g.10gb` is a partition unless its label says that it is
/// time-sliced. `nvidia.com/gpu` needs all of it. Where a label may be missing (a node group that is scaled from zero), the
/// requirement is one that its absence satisfies, as far as safety allows.
pub fn identity(candidate: &Candidate<'_>, inventory: &Inventory) -> Vec<Requirement<'static>> {
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
                label.mig == MigPart::Profile(*profile)
            });
            vec![
                sharing(GpuResource::Gpu, Operator::In, "none"),
                Requirement::new(gpu_label::PRODUCT, Operator::In, labels),
            ]
        }
        ResourceNaming::Share(resource @ (GpuResource::Gpu | GpuResource::GpuShared)) => {
            vec![sharing(*resource, Operator::In, rule.strategy.as_str())]
        }
        // The name says it all.
        ResourceNaming::Share(GpuResource::Mig(_) | GpuResource::MigShared(_)) => Vec::new(),
    }
}

/// What tells nodes that serve a candidate from others, whichever nodes there are: of the products under MIG `single`, which are named
/// after nodes, nothing.
pub fn identity_anywhere(candidate: &Candidate<'_>) -> Vec<Requirement<'static>> {
    let mut identity = identity(candidate, &Inventory::default());
    identity.retain(|requirement| requirement.operator != Operator::In || !requirement.values.is_empty());
    identity
}

/// What is missing, if anything, for a pod with these constraints to go to nodes alone that serve the candidate.
pub fn unpinned(candidate: &Candidate<'_>, constraints: &Constraints<'_>) -> Option<String> {
    let missing = identity_anywhere(candidate)
        .iter()
        .find(|requirement| !constraints.imply(requirement))
        .map(ToString::to_string);
    match candidate.naming {
        ResourceNaming::MigSingle(profile) => missing.or_else(|| {
            let is_served = |value: &String| ProductLabel::parse(value).mig == MigPart::Profile(profile);
            let pinned = constraints.pinned_values(gpu_label::PRODUCT);
            let is_pinned = pinned.is_some_and(|values| values.iter().all(is_served));
            (!is_pinned).then(|| format!("{}=<product>-MIG-{profile}", gpu_label::PRODUCT))
        }),
        _ => missing,
    }
}

/// Whether no node, whichever there are, can both serve the candidate and be one that a pod with these constraints may run on.
pub fn is_ruled_out(candidate: &Candidate<'_>, constraints: &Constraints<'_>) -> bool {
    let identity = identity_anywhere(candidate);
    pinned_product_clash(candidate, &constraints.and(&identity)).is_some() || !constraints.allow(&identity)
}

/// What else the rule and the declared memory ask of a node.
pub fn narrowing(
    candidate: &Candidate<'_>,
    memory: Option<MiB>,
    inventory: &Inventory,
    constraints: &Constraints<'_>,
) -> Vec<Requirement<'static>> {
    let rule = candidate.rule;
    let mut requirements = Vec::new();
    for resource in candidate.resources() {
        let key = resource.label_key("product");
        let pinned_right = || {
            constraints.pinned_values(&key).is_some_and(|values| {
                values
                    .iter()
                    .all(|value| rule.allows_product(Some(&ProductLabel::parse(value).product)))
            })
        };
        // The identity of MIG `single` names the products already.
        if !rule.products.is_empty() && !matches!(candidate.naming, ResourceNaming::MigSingle(_)) && !pinned_right() {
            let labels = product_labels(inventory, rule, resource, |_| true);
            // Where no node has such a product yet, its label's exact value is not known; the extender holds the rule alone.
            if !labels.is_empty() {
                requirements.push(Requirement::new(&key, Operator::In, labels));
            }
        }
        // The label gives the memory of the device. A share of MPS has less, which only the extender can tell.
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

/// Whether the products that the pod pins by its own selector can be what the candidate needs; else the selector's words.
///
/// Labels alone do not show it: `nvidia.com/gpu.product=Tesla-T4` contradicts no label of `nvidia.com/mig-1g.10gb`, and still no T4
/// has one.
pub fn pinned_product_clash(candidate: &Candidate<'_>, constraints: &Constraints<'_>) -> Option<String> {
    let Candidate { rule, naming, .. } = candidate;
    let values = constraints.pinned_values(gpu_label::PRODUCT)?;
    let may_serve = |value: &String| {
        let label = ProductLabel::parse(value);
        // Each container has a profile of its own, and all of them run on one node.
        let profiles = || candidate.resources().into_iter().filter_map(GpuResource::profile);
        let profiles_fit = || may_have(&label.product, profiles);
        rule.allows_product(Some(&label.product))
            && match naming {
                ResourceNaming::Whole => !label.shared && label.mig == MigPart::None,
                ResourceNaming::MigNamed(_) => label.mig == MigPart::None && profiles_fit(),
                ResourceNaming::MigSingle(profile) => label.mig == MigPart::Profile(*profile) && !label.shared,
                ResourceNaming::Share(GpuResource::GpuShared) => !label.shared,
                ResourceNaming::Share(GpuResource::Gpu) => label.shared,
                ResourceNaming::Share(GpuResource::Mig(_) | GpuResource::MigShared(_)) => profiles_fit(),
            }
    };
    if values.iter().any(may_serve) {
        None
    } else {
        Some(format!("{}={}", gpu_label::PRODUCT, values.join(", ")))
    }
}

/// Whether a product can have all these MIG profiles at once, as far as it is known.
pub(super) fn may_have<I: Iterator<Item = MigProfile>>(product: &Product, profiles: impl Fn() -> I) -> bool {
    match geometry::model_of(product, None) {
        // One name can stand for models of different memory: any of them will do.
        Some(_) => {
            geometry::models_named_by(product).any(|model| profiles().all(|profile| model.row(profile).is_some()))
        }
        None => !product::WITHOUT_MIG.iter().any(|name| {
            apportion_mig::product::ProductPattern::parse(name).is_ok_and(|pattern| pattern.matches(product))
        }),
    }
}

/// The product labels of what nodes offer under a resource name and a rule.
fn product_labels(
    inventory: &Inventory,
    rule: &SharingRule,
    resource: GpuResource,
    wanted: impl Fn(&ProductLabel) -> bool,
) -> Vec<String> {
    let mut labels: Vec<String> = inventory
        .variants(OfferClass {
            strategy: rule.strategy,
            resource,
        })
        .filter(|offer| rule.allows_product(offer.product.as_ref()))
        .filter_map(|offer| offer.product_label.as_deref())
        .filter(|label| wanted(&ProductLabel::parse(label)))
        .map(str::to_owned)
        .collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}
