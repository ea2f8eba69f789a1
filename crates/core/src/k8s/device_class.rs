//! A borrowed view of a `resource.k8s.io/v1` `DeviceClass`: which extended resource it serves.

use serde::Deserialize;

use super::pod::Metadata;
use super::text::{Text, null_as_default};

/// A `DeviceClass`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct DeviceClass<'a> {
    /// Who it is.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub metadata: Metadata<'a>,
    /// What it is.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub spec: DeviceClassSpec<'a>,
}

/// A `DeviceClassSpec`, as far as we read it. Its selectors are programs over what drivers publish of their devices; they are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceClassSpec<'a> {
    /// The extended resource that pods may ask for instead of making a claim.
    #[serde(default, borrow)]
    pub extended_resource_name: Option<Text<'a>>,
}
