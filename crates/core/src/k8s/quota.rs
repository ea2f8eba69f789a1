//! Borrowed views of a `v1.ResourceQuota` and a `v1.LimitRange`: what a namespace allows and gives.

use serde::Deserialize;

use super::pod::Metadata;
use super::quantity::RawQuantity;
use super::text::{Pairs, Text, null_as_default};

/// A `v1.ResourceQuota`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResourceQuota<'a> {
    /// Who it is.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    /// What it limits.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: ResourceQuotaSpec<'a>,
}

/// A `v1.ResourceQuotaSpec`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResourceQuotaSpec<'a> {
    /// The limits, by name: of what pods ask for with `requests.` in front.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub hard: Pairs<'a, RawQuantity<'a>>,
}

/// A `v1.LimitRange`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LimitRange<'a> {
    /// Who it is.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    /// What it says.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: LimitRangeSpec<'a>,
}

/// A `v1.LimitRangeSpec`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LimitRangeSpec<'a> {
    /// Its items.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub limits: Vec<LimitRangeItem<'a>>,
}

/// A `v1.LimitRangeItem`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitRangeItem<'a> {
    /// `Container`, `Pod` or `PersistentVolumeClaim`.
    #[serde(default, borrow, rename = "type")]
    pub kind: Text<'a>,
    /// The limits of containers that name none.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub default: Pairs<'a, RawQuantity<'a>>,
    /// Their requests.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub default_request: Pairs<'a, RawQuantity<'a>>,
    /// The most that may be asked for: whoever does not name the resource is refused.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub max: Pairs<'a, RawQuantity<'a>>,
    /// The least.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub min: Pairs<'a, RawQuantity<'a>>,
}
