//! Quotas and limit ranges, reduced to what they say of GPUs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::{Deserialize as _, Deserializer};

use super::kind::{Kind, meta};
use super::watch::Change;
use apportion_core::inventory::NamespaceQuota;
use apportion_core::k8s::quota::{LimitRange, ResourceQuota};

/// Quotas.
#[derive(Clone, Debug)]
pub struct Quotas;

impl Kind for Quotas {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "ResourceQuota";
    const PLURAL: &'static str = "resourcequotas";
    type Kept = Option<NamespaceQuota>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error> {
        let quota = ResourceQuota::deserialize(deserializer)?;
        Ok((meta(&quota.metadata), NamespaceQuota::of_quota(&quota)))
    }
}

/// Limit ranges.
#[derive(Clone, Debug)]
pub struct LimitRanges;

impl Kind for LimitRanges {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "LimitRange";
    const PLURAL: &'static str = "limitranges";
    type Kept = Option<NamespaceQuota>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error> {
        let range = LimitRange::deserialize(deserializer)?;
        Ok((meta(&range.metadata), NamespaceQuota::of_limit_range(&range)))
    }
}

/// What happened to a quota or a limit range: the plural name of its kind, and what.
pub(super) type AllowanceChange = (&'static str, Told);

/// What happened.
pub(super) enum Told {
    /// It says this now; `None` when nothing, or when it is gone.
    Put(String, Option<NamespaceQuota>),
    /// The list is whole.
    Synced,
    /// It can not be watched.
    Broken(String),
}

/// A change of either kind.
pub(super) fn told<K: Kind<Kept = Option<NamespaceQuota>>>(change: Change<K>) -> AllowanceChange {
    let told = match change {
        Change::Put(key, quota) => Told::Put(key, quota),
        Change::Gone(key) => Told::Put(key, None),
        Change::Synced => Told::Synced,
        Change::NotInstalled => Told::Broken("the API server does not know the kind".to_owned()),
        Change::Broken(why) => Told::Broken(why),
    };
    (K::PLURAL, told)
}
