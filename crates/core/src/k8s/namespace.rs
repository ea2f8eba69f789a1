//! A namespace, and the quotas and limit ranges that apply in it.

use serde::Deserialize;

use super::metadata::Metadata;
use super::quantity::RawQuantity;
use super::text::{Pairs, Text, null_as_default};

/// A `v1.Namespace`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Namespace<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
}

/// A `v1.ResourceQuota`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResourceQuota<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: ResourceQuotaSpec<'a>,
}

/// A `v1.ResourceQuotaSpec`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResourceQuotaSpec<'a> {
    /// The limits by name. The name of a limit on an extended resource starts with `requests.`.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub hard: Pairs<'a, RawQuantity<'a>>,
}

/// A `v1.LimitRange`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LimitRange<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: LimitRangeSpec<'a>,
}

/// A `v1.LimitRangeSpec`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LimitRangeSpec<'a> {
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub limits: Vec<LimitRangeItem<'a>>,
}

/// A `v1.LimitRangeItem`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitRangeItem<'a> {
    /// `Container`, `Pod` or `PersistentVolumeClaim`.
    #[serde(default, borrow, rename = "type")]
    pub kind: Text<'a>,
    /// The limits of containers that set none.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub default: Pairs<'a, RawQuantity<'a>>,
    /// The requests of containers that set none.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub default_request: Pairs<'a, RawQuantity<'a>>,
    /// The API server also rejects a pod that does not name a resource that has a maximum.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub max: Pairs<'a, RawQuantity<'a>>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub min: Pairs<'a, RawQuantity<'a>>,
}
