//! What the `ResourceQuota` and `LimitRange` objects of a namespace say about GPU resources.
//!
//! Only the resource names are kept. The API server enforces the amounts.

use crate::gpu::GpuResource;
use crate::k8s::namespace::{LimitRange, ResourceQuota};
use crate::k8s::quantity::RawQuantity;
use crate::k8s::{Pairs, Text};

/// A quota on an extended resource is always on its requests.
const REQUESTS_PREFIX: &str = "requests.";

/// A quota or a limit range that names GPU resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceQuota {
    pub name: Box<str>,
    pub kind: QuotaKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaKind {
    /// The resources that a `ResourceQuota` counts.
    ResourceQuota(Box<[GpuResource]>),
    LimitRange {
        /// Resources with a default: added to containers that request none.
        defaulted: Box<[GpuResource]>,
        /// Resources with a `min` or `max`: every container must request them.
        bounded: Box<[GpuResource]>,
    },
}

impl NamespaceQuota {
    /// `None` if the quota names no GPU resource.
    pub fn of_quota(quota: &ResourceQuota<'_>) -> Option<Self> {
        let names = quota
            .spec
            .hard
            .iter()
            .filter_map(|(key, _)| key.strip_prefix(REQUESTS_PREFIX));
        let counted = gpu_resources(names);
        (!counted.is_empty()).then(|| NamespaceQuota {
            name: owned_name(quota.metadata.name.as_ref()),
            kind: QuotaKind::ResourceQuota(counted),
        })
    }

    /// `None` if the limit range names no GPU resource.
    pub fn of_limit_range(range: &LimitRange<'_>) -> Option<Self> {
        let items = || range.spec.limits.iter();
        let defaulted = gpu_resources(items().flat_map(|item| keys(&item.default).chain(keys(&item.default_request))));
        let bounded = gpu_resources(items().flat_map(|item| keys(&item.max).chain(keys(&item.min))));
        (!defaulted.is_empty() || !bounded.is_empty()).then(|| NamespaceQuota {
            name: owned_name(range.metadata.name.as_ref()),
            kind: QuotaKind::LimitRange { defaulted, bounded },
        })
    }
}

fn owned_name(name: Option<&Text<'_>>) -> Box<str> {
    name.map(|name| &**name).unwrap_or_default().into()
}

fn keys<'p>(pairs: &'p Pairs<'_, RawQuantity<'_>>) -> impl Iterator<Item = &'p str> {
    pairs.iter().map(|(key, _)| &**key)
}

/// The GPU resources among the names, sorted, each once.
fn gpu_resources<'n>(names: impl Iterator<Item = &'n str>) -> Box<[GpuResource]> {
    let mut resources: Vec<GpuResource> = names.filter_map(|name| name.parse().ok()).collect();
    resources.sort_unstable();
    resources.dedup();
    resources.into()
}
