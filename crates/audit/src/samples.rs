//! Query results, by device and by pod.

use std::collections::BTreeMap;

use super::device::{Activity, DeviceKey, DeviceSamples, PodKey};
use super::prometheus::Series;
use super::query::Query;
use super::window::Window;
use crate::dcgm::{
    EXPORTED_NAMESPACE, EXPORTED_POD, HOST_NEW, HOST_OLD, INSTANCE, MODEL, NAMESPACE, POD, PROFILE, REPLICA, UUID,
};
use apportion_mig::product::Product;

/// The samples of all devices over the window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    pub devices: BTreeMap<DeviceKey, DeviceSamples>,
    /// The pods that the exporter names on each device.
    pub pods: BTreeMap<DeviceKey, BTreeMap<PodKey, Activity>>,
}

impl Samples {
    /// Adds the result of a query. Values that are not finite (a quantile of nothing) are skipped.
    pub fn add(&mut self, window: &Window, query: Query, result: Vec<Series>) {
        for series in result {
            let device = DeviceKey {
                node: label(&series, &[HOST_NEW, HOST_OLD]),
                uuid: label(&series, &[UUID]),
                instance: label(&series, &[INSTANCE]),
                profile: label(&series, &[PROFILE]),
            };
            for (time, value) in series.points.iter().copied().filter(|(_, value)| value.is_finite()) {
                if query.is_by_pod() {
                    let pod = PodKey {
                        namespace: label(&series, &[EXPORTED_NAMESPACE, NAMESPACE]),
                        pod: label(&series, &[EXPORTED_POD, POD]),
                        replica: label(&series, &[REPLICA]),
                        exported: series.labels.contains_key(EXPORTED_POD),
                    };
                    let pods = self.pods.entry(device.clone()).or_default();
                    set(pods.entry(pod).or_default(), window, query, time, value);
                    continue;
                }
                let samples = self.devices.entry(device.clone()).or_default();
                match query {
                    Query::MemoryMean => samples.memory_mean = Some(value),
                    Query::MemoryTotal => samples.memory_total = Some(value),
                    Query::ReplicaSteps => samples.replica_steps = value,
                    _ => set(&mut samples.activity, window, query, time, value),
                }
                let model = label(&series, &[MODEL]);
                if !model.is_empty() {
                    samples.product = Some(Product::from(&*model.replace(' ', "-")));
                }
            }
        }
    }

    /// Removes pods without any utilization value: their hours are unknown.
    pub fn remove_pods_without_utilization(&mut self) {
        for pods in self.pods.values_mut() {
            pods.retain(|_, activity| activity.steps > 0.0);
        }
        self.pods.retain(|_, pods| !pods.is_empty());
    }
}

/// The value of the first of these labels that the series has.
fn label(series: &Series, names: &[&str]) -> Box<str> {
    let found = names.iter().find_map(|name| series.labels.get(*name));
    found.map_or("", String::as_str).into()
}

fn set(activity: &mut Activity, window: &Window, query: Query, time: i64, value: f64) {
    match query {
        Query::Steps | Query::PodSteps => activity.steps = value,
        Query::Mean | Query::PodMean => activity.mean = value,
        Query::P95 | Query::PodP95 => activity.p95 = value,
        Query::IdleSteps | Query::PodIdleSteps => activity.idle_steps = value,
        // A driver update can change the name of a product. Then there is one peak per name.
        Query::MemoryPeak | Query::PodMemoryPeak => {
            activity.memory_peak = Some(activity.memory_peak.map_or(value, |peak| peak.max(value)));
        }
        Query::Timeline | Query::PodTimeline => activity.timeline.set(window, time, value),
        Query::MemoryMean | Query::MemoryTotal | Query::ReplicaSteps => {}
    }
}
