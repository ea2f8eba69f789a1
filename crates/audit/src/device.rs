//! Devices and pods as metrics identify them.

use super::timeline::Timeline;
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

/// A whole GPU or a MIG device of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey {
    pub node: Box<str>,
    /// The GPU; for a MIG device, its parent.
    pub uuid: Box<str>,
    /// The number of the MIG device on its GPU; empty for a whole GPU.
    pub instance: Box<str>,
    /// The MIG profile as the exporter writes it; empty for a whole GPU. It is part of the key
    /// because instance numbers are reused when a GPU is partitioned again.
    pub profile: Box<str>,
}

impl DeviceKey {
    pub fn is_mig(&self) -> bool {
        !self.instance.is_empty()
    }

    /// The MIG profile, if it is a known one.
    pub fn mig_profile(&self) -> Option<MigProfile> {
        let text = &*self.profile;
        text.parse().or_else(|_| MigProfile::from_resource_name(text)).ok()
    }
}

/// A pod that the labels of a device's series name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    pub namespace: Box<str>,
    pub pod: Box<str>,
    /// The replica of a shared device that the pod holds; empty if the exporter does not name it.
    pub replica: Box<str>,
    /// Whether the name comes from `exported_pod`. If the scrape configuration changes within the
    /// window, the pod has two keys, each for a part of the window.
    pub exported: bool,
}

/// What a device did over the window. Utilization is in percent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Steps that have a utilization sample.
    pub steps: f64,
    pub mean: f64,
    pub p95: f64,
    pub idle_steps: f64,
    /// Peak memory in use, MiB.
    pub memory_peak: Option<f64>,
    pub timeline: Timeline,
}

/// The samples of a device over the window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceSamples {
    pub activity: Activity,
    /// Mean memory in use, MiB.
    pub memory_mean: Option<f64>,
    /// Used plus free memory, MiB.
    pub memory_total: Option<f64>,
    /// The product, from the model name in the metrics.
    pub product: Option<Product>,
    /// Steps that have series for single replicas and one for the device as well.
    pub replica_steps: f64,
}
