//! Device classes, reduced to the GPU resource that they serve. Read as `v1`, the first version in which a class can.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::{Deserialize as _, Deserializer};

use super::kind::{Kind, meta};
use apportion_core::gpu::GpuResource;
use apportion_core::inventory::dra::served_by;
use apportion_core::k8s::device_class::DeviceClass;

/// Device classes.
#[derive(Clone, Debug)]
pub struct Classes;

impl Kind for Classes {
    const GROUP: &'static str = "resource.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "DeviceClass";
    const PLURAL: &'static str = "deviceclasses";
    type Kept = Option<GpuResource>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error> {
        let class = DeviceClass::deserialize(deserializer)?;
        Ok((meta(&class.metadata), served_by(&class)))
    }

    fn is_of_use(kept: &Self::Kept) -> bool {
        kept.is_some()
    }
}
