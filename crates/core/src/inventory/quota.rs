//! What the quotas and limit ranges of a namespace say of GPUs.

use crate::gpu::GpuResource;
use crate::k8s::quantity::RawQuantity;
use crate::k8s::quota::{LimitRange, ResourceQuota};
use crate::k8s::{Pairs, Text};

/// In front of the names that a quota counts.
const REQUESTS: &str = "requests.";

/// A quota or a limit range that speaks of GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceQuota {
    /// Its name.
    pub name: Box<str>,
    /// What it says.
    pub says: QuotaKind,
}

/// What an [`NamespaceQuota`] says. Amounts are the API server's to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaKind {
    /// A quota that counts these.
    Counts(Box<[GpuResource]>),
    /// A limit range.
    Limits {
        /// Given to containers that ask for none.
        given: Box<[GpuResource]>,
        /// To be named by every container, between a least and a most.
        bounded: Box<[GpuResource]>,
    },
}

impl NamespaceQuota {
    /// What a quota says of GPUs; `None` when it does not speak of them.
    pub fn of_quota(quota: &ResourceQuota<'_>) -> Option<Self> {
        let names = quota.spec.hard.iter().filter_map(|(key, _)| key.strip_prefix(REQUESTS));
        let counted = gpus(names);
        (!counted.is_empty()).then(|| NamespaceQuota {
            name: name(quota.metadata.name.as_ref()),
            says: QuotaKind::Counts(counted),
        })
    }

    /// What a limit range says of GPUs; `None` when it does not speak of them.
    pub fn of_limit_range(range: &LimitRange<'_>) -> Option<Self> {
        let items = || range.spec.limits.iter();
        let given = gpus(items().flat_map(|item| keys(&item.default).chain(keys(&item.default_request))));
        let bounded = gpus(items().flat_map(|item| keys(&item.max).chain(keys(&item.min))));
        (!given.is_empty() || !bounded.is_empty()).then(|| NamespaceQuota {
            name: name(range.metadata.name.as_ref()),
            says: QuotaKind::Limits { given, bounded },
        })
    }
}

fn name(name: Option<&Text<'_>>) -> Box<str> {
    name.map(|name| &**name).unwrap_or_default().into()
}

fn keys<'p>(pairs: &'p Pairs<'_, RawQuantity<'_>>) -> impl Iterator<Item = &'p str> {
    pairs.iter().map(|(key, _)| &**key)
}

/// Each of the names that is a GPU's, once.
fn gpus<'n>(names: impl Iterator<Item = &'n str>) -> Box<[GpuResource]> {
    let mut resources: Vec<GpuResource> = names.filter_map(|name| name.parse().ok()).collect();
    resources.sort_unstable();
    resources.dedup();
    resources.into()
}
