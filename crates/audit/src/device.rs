//! Devices as metrics tell them apart: whole GPUs and MIG devices.

use super::trend::Trend;
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

/// A whole GPU or a MIG device of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey {
    /// The node.
    pub node: Box<str>,
    /// The GPU; of a MIG device, its parent.
    pub uuid: Box<str>,
    /// The MIG device's number on its GPU; empty for a whole GPU.
    pub instance: Box<str>,
    /// The MIG device's profile as the exporter writes it; empty for a whole GPU. A number is given anew when a GPU is cut anew, so it
    /// is a part of the name.
    pub profile: Box<str>,
}

impl DeviceKey {
    /// Whether it is a MIG device.
    pub fn is_mig(&self) -> bool {
        !self.instance.is_empty()
    }

    /// The MIG device's profile, where it is one that is known.
    pub fn mig_profile(&self) -> Option<MigProfile> {
        let text = &*self.profile;
        text.parse().or_else(|_| MigProfile::from_resource_name(text)).ok()
    }
}

/// A pod by whose name a device went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderKey {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub pod: Box<str>,
    /// The replica of a shared device that it holds; empty where the exporter tells none.
    pub replica: Box<str>,
    /// Whether it was named by `exported_pod`. Where that changed within the window the pod is there twice, each time for a part of it.
    pub exported: bool,
}

/// What a device did over the window. Utilization is in per cent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Steps in which its utilization was seen.
    pub steps: f64,
    /// The mean.
    pub mean: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// Steps in which it was idle.
    pub idle_steps: f64,
    /// The most memory in use, MiB.
    pub memory_peak: Option<f64>,
    /// The mean, bucket by bucket.
    pub trend: Trend,
}

/// A device over the window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceReading {
    /// What it did.
    pub activity: Activity,
    /// Mean memory in use, MiB.
    pub memory_mean: Option<f64>,
    /// Memory that it has, MiB: what is in use and what is free.
    pub memory_total: Option<f64>,
    /// The product, from its name in the metrics.
    pub product: Option<Product>,
    /// Steps in which values for each pod stood beside the device's own.
    pub beside_steps: f64,
}
